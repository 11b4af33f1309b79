"""One round of questions for all who ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Rounds:
    """Runs a piece of work for many callers: those who come while it runs share the next run.

    They do not share the run that is under way: it may have asked before what they did happened.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work`, which does not raise, once for each round."""
        self._work = work
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Begin a run as soon as the one under way has ended."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._running), name="round")
        return self._next

    async def join(self) -> None:
        """Wait for a run that begins after this call."""
        await asyncio.shield(self.begin())

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._next = self._next, None
        await self._work()
