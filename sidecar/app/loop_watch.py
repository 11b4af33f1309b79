"""How late the event loop runs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

TICK_SECONDS: Final = 0.02
"""How often the loop is looked at: a five-hundredth of a core at the very most."""

TOLERANCE_SECONDS: Final = 0.005
"""Lateness that is usual, and is not counted as lost."""

_STALLS_KEPT: Final = 1024
"""How many stalls are remembered: of a loop that is always late, those of half a minute."""


class LoopWatch:
    """Measures how late the running loop is; `report` gets each lateness in seconds."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._stalls: deque[tuple[float, float]] = deque(maxlen=_STALLS_KEPT)  # end, seconds
        self._due = self._loop.time() + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)

    def lost(self, since: float) -> float:
        """Return the seconds lost since then, those of a stall that has just ended included.

        Nothing is counted where nothing is lost, so that a call has no part in it.
        """
        now = self._loop.time()
        late = now - self._due
        lost = min(late, now - since) if late > TOLERANCE_SECONDS else 0.0
        for ended, seconds in reversed(self._stalls):
            if ended <= since:
                break
            lost += min(seconds, ended - since)
        return lost

    def close(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late > TOLERANCE_SECONDS:
            self._stalls.append((now, late))
        self._due = now + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)
        self._report(max(late, 0.0))
