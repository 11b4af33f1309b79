"""How many requests are under way, and whether new ones are still taken."""

from __future__ import annotations

import asyncio


class Drain:
    """Everything that answers a request is counted in it, from its head to the end of its answer.

    `idle` is set once `draining` and nothing is under way; what comes after that is refused.
    """

    __slots__ = ("_hurried", "draining", "idle", "inflight")

    def __init__(self) -> None:
        self.inflight = 0
        self.draining = False
        self._hurried = False
        self.idle = asyncio.Event()

    def begin(self) -> None:
        """Take no new requests from now on."""
        self.draining = True
        if not self.inflight:
            self.idle.set()

    def leave(self) -> None:
        """Count one request out; it was counted in by `inflight += 1`."""
        self.inflight -= 1
        if self.draining and not self.inflight:
            self.idle.set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most so long until nothing is under way; return whether that was reached."""
        try:
            async with asyncio.timeout(seconds):
                await self.idle.wait()
        except TimeoutError:
            return False
        whole = not (self._hurried and self.inflight)
        self._hurried = False
        if self.inflight:
            self.idle.clear()
        return whole

    def hurry(self) -> None:
        """End the wait now."""
        self._hurried = True
        self.idle.set()
