"""How many requests are under way, and whether new ones are still taken."""

from __future__ import annotations

import asyncio


class Drain:
    """Everything that answers a request is counted in it, from its head to the end of its answer.

    `idle` is set once `draining` and nothing is under way.
    """

    __slots__ = ("draining", "idle", "inflight")

    def __init__(self) -> None:
        self.inflight = 0
        self.draining = False
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
        if self.inflight:  # hurried
            self.idle.clear()
        return not self.inflight

    def hurry(self) -> None:
        """End the wait now."""
        self.idle.set()
