"""Deadlines of a peer that do not count the time in which our own loop did not run.

A deadline fires late where the loop was held: by a long computation, or because the machine gave
this process no time. What it waited for may have arrived meanwhile, unread. So the time in which
the loop did not run does not count against a peer (architecture, Rules that hold 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

LONGEST_SECONDS: Final = 5.0
"""How much lost time a deadline makes up for. Beyond it this process is overloaded, and says so."""

Lost = Callable[[float], float]
"""Seconds in which the loop should have run and did not, since a time of the loop's clock."""


def always_on_time(since: float) -> float:  # noqa: ARG001 - the shape of `Lost`
    """Return what a loop that is not watched has lost: no time."""
    return 0.0


class Allowance:
    """Seconds of a running loop that a peer has from `started` on; `now` is the loop's clock."""

    __slots__ = ("_lost", "_now", "_seconds", "_started")

    def __init__(
        self, seconds: float, started: float, now: Callable[[], float], lost: Lost
    ) -> None:
        self._seconds = seconds
        self._started = started
        self._now = now
        self._lost = lost

    @property
    def left(self) -> float:
        """Seconds that remain; 0 or less when the time is up."""
        lost = min(self._lost(self._started), LONGEST_SECONDS)
        return self._seconds + lost - (self._now() - self._started)

    @property
    def overloaded(self) -> bool:
        """Whether more time was lost than is made up for: what has timed out is our own fault."""
        return self._lost(self._started) > LONGEST_SECONDS


async def ends_within(allowance: Allowance, task: asyncio.Future[Any]) -> bool:
    """Wait for `task` while there is time, without cancelling it; return whether it has ended."""
    while not task.done():
        left = allowance.left
        if left <= 0.0:
            return False
        await asyncio.wait((task,), timeout=left)
    return True


class RunningTime:
    """`asyncio.timeout` for a peer: TimeoutError after so many seconds of a loop that runs.

    Where the deadline itself fires late there is as much time again, once: what the loop was too
    late to read is read first.
    """

    __slots__ = ("_due", "_loop", "_timeout", "_timer")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + seconds
        self._timeout = asyncio.timeout(None)
        self._timer = self._loop.call_at(self._due, self._fire)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _fire(self) -> None:
        now = self._loop.time()
        late = min(now - self._due, LONGEST_SECONDS)
        self._timeout.reschedule(now + late)
