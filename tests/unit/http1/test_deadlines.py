"""Deadlines of equal length: told in order, once, whatever those told do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sidecar.http1.deadlines import Deadlines


class Waiting:
    """Keeps when it was told, and does something then."""

    def __init__(self, told: list[Waiting], then: Callable[[], None] | None = None) -> None:
        self.told = told
        self.then = then
        self.over = False
        self.heard = asyncio.Event()

    def expire(self) -> None:
        """Take note."""
        self.told.append(self)
        self.heard.set()
        if self.then is not None:
            self.then()


async def test_those_waiting_are_told_in_order() -> None:
    """Equal waits fall due as they were set."""
    deadlines, told = Deadlines(0.001), list[Waiting]()
    waiting = [Waiting(told) for _ in range(20)]
    for each in waiting:
        deadlines.set(each)
    await waiting[-1].heard.wait()
    assert told == waiting


async def test_each_is_told_once() -> None:
    """A deadline that has passed is forgotten."""
    deadlines, told = Deadlines(0.001), list[Waiting]()
    first, last = Waiting(told), Waiting(told)
    deadlines.set(first)
    await first.heard.wait()
    deadlines.set(last)
    await last.heard.wait()
    assert told == [first, last]


async def test_nothing_is_told_too_early() -> None:
    """Not before its time by the loop's clock."""
    loop = asyncio.get_running_loop()
    deadlines, told = Deadlines(0.02), list[Waiting]()
    seen: list[float] = []
    waiting = Waiting(told, lambda: seen.append(loop.time()))
    due = loop.time() + 0.02
    deadlines.set(waiting)
    await waiting.heard.wait()
    assert seen[0] >= due


async def test_one_told_may_set_another() -> None:
    """A retry sets the next deadline from within the one that fell due."""
    deadlines, told = Deadlines(0.001), list[Waiting]()
    second = Waiting(told)
    first = Waiting(told, lambda: deadlines.set(second))
    deadlines.set(first)
    await second.heard.wait()
    assert told == [first, second]


async def test_one_told_may_close() -> None:
    """Nobody is told after that, though they were due as well."""
    deadlines, told = Deadlines(0.001), list[Waiting]()
    first = Waiting(told, deadlines.close)
    deadlines.set(first)
    deadlines.set(Waiting(told))
    await first.heard.wait()
    await asyncio.sleep(0.01)
    assert told == [first]


async def test_nothing_is_told_after_closing() -> None:
    """The timer is gone."""
    deadlines, told = Deadlines(0.001), list[Waiting]()
    deadlines.set(Waiting(told))
    deadlines.close()
    await asyncio.sleep(0.01)
    assert told == []


async def test_closing_an_idle_queue_is_nothing() -> None:
    """There need not have been a deadline."""
    deadlines = Deadlines(1.0)
    deadlines.close()
    assert deadlines.seconds == 1.0


async def test_a_fault_in_one_does_not_stop_the_rest() -> None:
    """Those behind it in the queue are told all the same."""
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    deadlines, told = Deadlines(0.001), list[Waiting]()

    def fail() -> None:
        raise RuntimeError("a wait that breaks")

    last = Waiting(told)
    deadlines.set(Waiting(told, fail))
    deadlines.set(last)
    await asyncio.wait_for(last.heard.wait(), 5)
    assert len(faults) == 1


@pytest.mark.parametrize("count", [1, 1000])
async def test_any_number_of_waits_takes_one_timer(count: int) -> None:
    """Setting a deadline is an append."""
    deadlines, told = Deadlines(60.0), list[Waiting]()
    deadlines.set(Waiting(told))
    timer = deadlines._timer
    for _ in range(count):
        deadlines.set(Waiting(told))
    assert deadlines._timer is timer
    deadlines.close()


async def test_what_is_over_is_not_told() -> None:
    """It has ended by itself, in time."""
    deadlines, told = Deadlines(0.001), list[Waiting]()
    over, waiting = Waiting(told), Waiting(told)
    deadlines.set(over)
    deadlines.set(waiting)
    over.over = True
    await waiting.heard.wait()
    assert told == [waiting]


async def test_what_is_over_is_let_go_of() -> None:
    """However long the wait, no more is kept than is still waited for, and the one set last."""
    deadlines, told = Deadlines(60.0), list[Waiting]()
    for _ in range(100):
        waiting = Waiting(told)
        deadlines.set(waiting)
        waiting.over = True
    assert len(deadlines._queue) == 1
    deadlines.close()
