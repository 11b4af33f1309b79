"""Policy files that change, and stores that watch them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError
from sidecar.policy.store import PolicyStore
from tests.fakes.policy import NotingPolicyObserver

INTERVAL = 0.02


def text(product: str) -> str:
    """Return a good policy; its product tells which one it is."""
    return f"""\
version: 1
product: {product}
routes:
  - {{name: all, match: {{path: /**}}, meter: {{}}}}
"""


BAD = text("bad").replace("meter: {}", "meter: {amount: 0}")
WRONG = "`amount` must be at least 1"


def opened(
    file: Path,
    observer: NotingPolicyObserver | None = None,
    *,
    before_use: Callable[[Policy], None] | None = None,
    found: Callable[[bytes | PolicyError], None] | None = None,
) -> PolicyStore:
    """Open a store as an app does."""
    content = read_policy_file(file)
    return PolicyStore(file, content, {}, observer, before_use=before_use, found=found)


def put(file: Path, content: str) -> None:
    """Write in place."""
    file.write_text(content)


def put_unseen(file: Path, content: str) -> None:
    """Write in place, and leave the times as they were."""
    times = file.stat()
    file.write_text(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def remove(file: Path) -> None:
    """Take the file away."""
    file.unlink()


@asynccontextmanager
async def watching(store: PolicyStore) -> AsyncIterator[None]:
    """Watch quickly, and stop as an owner does."""
    task = asyncio.create_task(store.watch(INTERVAL))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the watch will bring about."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(INTERVAL / 4)
    pytest.fail("it never came about")
