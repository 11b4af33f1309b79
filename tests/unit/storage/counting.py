"""Counters over real servers, and how tests wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from sidecar.admission.idempotency import scope_of
from sidecar.storage import redis_attempts, redis_client
from sidecar.storage.redis_attempts import RedisAttempts

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds for a number where Redis answers: a busy machine takes longer than a call would wait."""

SCOPE = scope_of(
    product="p", org_id="o", user_id="u", route="r", method="POST", path="/",
    resource="ai_calls", request_id="id",
)  # fmt: skip


@contextlib.asynccontextmanager
async def counting(url: str, *, timeout: float = PATIENCE) -> AsyncIterator[RedisAttempts]:
    """Count in the Redis at `url` while the block lasts.

    The start waits until it has connected or failed, and where a call is patient, so is the client:
    on a busy machine Redis takes longer than the second that it has.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_attempts, "START_SECONDS", PATIENCE)
        if timeout == PATIENCE:
            patch.setattr(redis_client, "ANSWER_SECONDS", PATIENCE)
        attempts = RedisAttempts.at(url, timeout=timeout)
        await attempts.start()
        try:
            yield attempts
        finally:
            await attempts.close()


async def until(read: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """Wait until what is read is what is wanted; return it."""
    end = time.monotonic() + PATIENCE
    while not wanted(found := await read()):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.01)
    return found


async def problem_of(attempts: RedisAttempts, wanted: Callable[[str], bool]) -> str:
    """Wait until the problem is one that is wanted; return it."""

    async def read() -> str:
        return attempts.problem

    return await until(read, wanted)


async def well(attempts: RedisAttempts) -> None:
    """Wait until numbers are counted over all replicas."""
    await problem_of(attempts, lambda problem: not problem)
