"""How late the event loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

TICK_SECONDS: Final = 0.02
"""How often the loop is looked at: a five-hundredth of a core at the very most."""

TOLERANCE_SECONDS: Final = 0.005
"""Lateness that is usual, and is not counted as lost."""


class LoopWatch:
    """Measures how late the running loop is; `report` gets each lateness in seconds."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._lost = 0.0
        self._due = self._loop.time() + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)

    def lost(self) -> float:
        """Return the seconds lost so far, those of a stall that has just ended included."""
        late = self._loop.time() - self._due
        return self._lost + late if late > TOLERANCE_SECONDS else self._lost

    def close(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late > TOLERANCE_SECONDS:
            self._lost += late
        self._due = now + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)
        self._report(max(late, 0.0))
