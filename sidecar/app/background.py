"""Background tasks with an owner that ends them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine

_END_SECONDS = 2.0

log = logging.getLogger("sidecar.app")


def own_task(
    owner: contextlib.AsyncExitStack, work: Coroutine[None, None, None], name: str
) -> asyncio.Task[None]:
    """Run `work` until `owner` is closed; work that ends by itself is a fault, and is logged."""
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait((task,), timeout=_END_SECONDS)

    def ended(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (fault := done.exception()) is not None:
            log.error("task_failed", extra={"task": name}, exc_info=fault)

    task.add_done_callback(ended)
    owner.push_async_callback(end)
    return task
