"""Deadlines of equal length, without a timer each: they fall due in the order they were set."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Expiring(Protocol):
    """What has a deadline; it ends at it unless it is `over`, that is done, by then."""

    over: bool

    def expire(self) -> None:
        """Give up, unless done."""


class Deadlines:
    """One queue and at most one timer for all waits of `seconds`.

    Setting a deadline is an append; nothing is cancelled. What is over is let go of as soon as all
    that was set before it is: kept until its time it would grow old, and cost a collection of the
    whole heap every few thousand requests (8 of 52 us a request, in pauses of 0.1 s).
    """

    __slots__ = ("_loop", "_queue", "_timer", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, Expiring]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, waiting: Expiring) -> None:
        """Have `waiting.expire()` called in `seconds`."""
        queue = self._queue
        while queue and queue[0][1].over:
            queue.popleft()
        due = self._loop.time() + self.seconds
        queue.append((due, waiting))
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._fire)

    def close(self) -> None:
        """Drop the timer; nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()

    def _fire(self) -> None:
        now = self._loop.time()
        queue = self._queue
        try:
            while queue and queue[0][0] <= now:
                waiting = queue.popleft()[1]
                if not waiting.over:
                    waiting.expire()
        finally:  # a fault in one must not leave the others waiting for ever
            self._timer = self._loop.call_at(queue[0][0], self._fire) if queue else None
