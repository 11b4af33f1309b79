"""What the key set tells, kept for a test."""

from __future__ import annotations

import asyncio


class Heard:
    """An observer that keeps what it was told, for a test to wait for."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.told: list[tuple[str, int]] = []
        self.details: list[str] = []
        self._queue: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def keys_refreshed(self, outcome: str, keys: int, detail: str = "") -> None:
        """Keep one report."""
        self.details.append(detail)
        self.told.append((outcome, keys))
        self._queue.put_nowait((outcome, keys))

    async def hear(self, outcome: str) -> int:
        """Wait for a fetch that ended so; return how many keys were trusted then."""
        while True:
            told, keys = await self._queue.get()
            if told == outcome:
                return keys
