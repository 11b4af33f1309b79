"""How late the event loop runs, so that our own lateness is not taken for another's.

A deadline fires late where the loop was held: by a long computation, or because the machine gave
this process no time. What it waited for may have arrived meanwhile, unread. So the time in which
the loop did not run does not count against a peer (architecture, Rules that hold 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

TICK_SECONDS: Final = 0.02
"""How often the loop is looked at: a five-hundredth of a core at the very most."""

TOLERANCE_SECONDS: Final = 0.005
"""Lateness that is usual, and is not counted as lost."""

LONGEST_SECONDS: Final = 5.0
"""How much lost time a deadline makes up for. Beyond it this process is overloaded, and says so."""

Lost = Callable[[], float]
"""Seconds, since some start, in which the loop should have run and did not."""


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


def always_on_time() -> float:
    """Stand for a loop that is not watched: it loses no time."""
    return 0.0


class Patience:
    """Seconds of a loop that runs, from now on; `now` is the loop's own clock."""

    __slots__ = ("_lost", "_lost_before", "_now", "_seconds", "_started")

    def __init__(self, seconds: float, now: Callable[[], float], lost: Lost) -> None:
        self._seconds = seconds
        self._now = now
        self._lost = lost
        self._started = now()
        self._lost_before = lost()

    def of(self, seconds: float) -> Patience:
        """Return a patience of another length that began when this one did."""
        other = Patience(seconds, self._now, self._lost)
        other._started, other._lost_before = self._started, self._lost_before
        return other

    @property
    def left(self) -> float:
        """Seconds that remain; 0 or less when the time is up."""
        lost = min(self._lost() - self._lost_before, LONGEST_SECONDS)
        return self._seconds + lost - (self._now() - self._started)

    @property
    def overloaded(self) -> bool:
        """Whether more time was lost than is made up for: what has timed out is our own fault."""
        return self._lost() - self._lost_before > LONGEST_SECONDS


async def ends_within(patience: Patience, task: asyncio.Future[Any]) -> bool:
    """Wait for `task` while there is time, without cancelling it; return whether it has ended."""
    while not task.done():
        left = patience.left
        if left <= 0.0:
            return False
        await asyncio.wait((task,), timeout=left)
    return True
