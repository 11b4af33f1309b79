"""Long work on the event loop, in slices: all work of one loop shares one budget of time.

Bodies that are read, unframed or decoded, pages of the admin port and large bodies that arrive wait
in one queue. So the loop is held for `BUDGET` and one slice in an iteration, however many wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

BUDGET: Final = 0.0002
"""Seconds of an iteration after which no further slice begins; one takes 0.1 ms, at most 0.5."""

Work = Generator[float | None, None, T]
"""Yields after each slice: None, or the seconds that it costs the loop beyond its own time."""


class Turns:
    """The queue of one event loop: the holders take turns, and so does the work of each.

    A first slice is done at once where the budget allows it: small work suspends no caller.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._waiting: dict[str, deque[tuple[Work[Any], asyncio.Future[Any]]]] = {}
        self._spent = 0.0
        self._scheduled = False

    async def run(self, work: Work[T], holder: str = "") -> T:
        """Run work to its end; return what it returns, raise what it raises.

        `holder` (an org) has as many turns as any other, whatever the number of its bodies.
        Cancelled, it closes the work and leaves the queue at once.
        """
        loop = asyncio.get_running_loop()
        if self._spent < BUDGET:
            self._schedule(loop)
            try:
                self._slice(work)
            except StopIteration as end:
                result: T = end.value
                return result
        ended: asyncio.Future[T] = loop.create_future()
        entry = (work, ended)
        self._waiting.setdefault(holder, deque()).append(entry)
        self._schedule(loop)
        try:
            return await ended
        except asyncio.CancelledError:
            self._remove(holder, entry)
            work.close()
            raise

    def _slice(self, work: Work[Any]) -> None:
        began = self._clock()
        cost: float | None = None
        try:
            cost = next(work)
        finally:
            self._spent += self._clock() - began + (cost or 0.0)

    def _remove(self, holder: str, entry: tuple[Work[Any], asyncio.Future[Any]]) -> None:
        queue = self._waiting.get(holder)
        if queue is not None:
            with contextlib.suppress(ValueError):  # it had just come to its end
                queue.remove(entry)
            if not queue:
                del self._waiting[holder]

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        """Begin an iteration: do slices until its budget is spent."""
        self._scheduled = False
        self._spent = 0.0
        while self._waiting and self._spent < BUDGET:
            holder, queue = next(iter(self._waiting.items()))
            del self._waiting[holder]
            work, ended = queue.popleft()
            if not ended.cancelled() and self._goes_on(work, ended):
                queue.append((work, ended))
            if queue:
                self._waiting[holder] = queue
        if self._waiting or self._spent:
            self._schedule(asyncio.get_running_loop())

    def _goes_on(self, work: Work[Any], ended: asyncio.Future[Any]) -> bool:
        """Do a slice; return whether there is more. At the end, the caller gets what it came to."""
        try:
            self._slice(work)
        except StopIteration as end:
            ended.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - raised again where the work was given
            ended.set_exception(error)
        else:
            return True
        return False


_OF_LOOPS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Turns]] = WeakKeyDictionary()


def turns() -> Turns:
    """Return the queue of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _OF_LOOPS.get(loop)
    if found is None:
        found = _OF_LOOPS[loop] = Turns()
    return found
