"""Turns at the loop, counted; the time of a slice is a test's own."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections import Counter
from collections.abc import Generator

import pytest

from sidecar.domain.turns import BUDGET, Turns, turns


class Iterations:
    """Counts the loop's iterations, and notes in which one a slice was done."""

    def __init__(self) -> None:
        self.now = 0
        self.slices: list[tuple[str, int]] = []
        self.closed: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self.now += 1
        self._handle = self._loop.call_soon(self._tick)

    def stop(self) -> None:
        self._handle.cancel()

    def work(self, name: str, slices: int) -> Generator[None, None, str]:
        """Make work of so many slices."""
        try:
            for left in range(slices, 0, -1):
                self.slices.append((name, self.now))
                if left > 1:
                    yield
            return name.upper()
        finally:
            self.closed.append(name)


def slow_turns(share: float) -> Turns:
    """Return a queue in which each slice takes this share of the budget."""
    moments = itertools.count()
    return Turns(lambda: next(moments) * BUDGET * share)


async def test_work_of_one_slice_does_not_suspend_its_caller() -> None:
    """The engine's promise: what needs nothing from outside is decided at once."""
    iterations = Iterations()
    running = Turns().run(iterations.work("a", 1))
    with pytest.raises(StopIteration) as end:
        running.send(None)
    assert end.value.value == "A"
    iterations.stop()


async def test_one_budget_bounds_an_iteration_however_many_wait() -> None:
    """A hundred bodies that arrive together: slices of half a budget, two in an iteration."""
    iterations, queue = Iterations(), slow_turns(0.51)
    names = [f"w{number}" for number in range(100)]
    running = [queue.run(iterations.work(name, 4)) for name in names]
    assert await asyncio.gather(*running) == [name.upper() for name in names]
    iterations.stop()
    in_each = Counter(now for _, now in iterations.slices)
    assert max(in_each.values()) == 2


async def test_slices_are_done_in_rounds() -> None:
    """No work has a second turn before all others of its holder had one."""
    iterations, queue = Iterations(), slow_turns(1.01)
    names = [f"w{number}" for number in range(10)]
    await asyncio.gather(*(queue.run(iterations.work(name, 4)) for name in names))
    iterations.stop()
    assert [name for name, _ in iterations.slices] == ["w0", *names * 3, *names[1:]]


async def test_holders_have_as_many_turns_whatever_they_hold() -> None:
    """Ten bodies of one org, and one of another: every second slice is the other's."""
    iterations, queue = Iterations(), slow_turns(1.01)
    many = [asyncio.ensure_future(queue.run(iterations.work("m", 9), "many")) for _ in range(10)]
    await asyncio.sleep(0)
    await queue.run(iterations.work("one", 9), "one")
    iterations.stop()
    names = [name for name, _ in iterations.slices]
    assert len(names) - names.index("one") <= 2 * 9
    await asyncio.gather(*many)


async def test_a_cost_beyond_the_own_time_counts() -> None:
    """What a slice starts elsewhere, such as the receiving of a piece."""
    iterations, queue = Iterations(), Turns()

    def costly() -> Generator[float, None, None]:
        iterations.slices.append(("c", iterations.now))
        yield BUDGET

    await asyncio.gather(*(queue.run(costly()) for _ in range(5)))
    iterations.stop()
    assert len({now for _, now in iterations.slices}) == 5


async def test_work_alone_goes_on_in_each_iteration() -> None:
    """Giving way costs it no more than that."""
    iterations = Iterations()
    assert await slow_turns(1.01).run(iterations.work("a", 50)) == "A"
    iterations.stop()
    moments = [now for _, now in iterations.slices]
    assert moments == list(range(moments[0], moments[0] + 50))


async def test_small_work_is_done_at_once_within_the_budget() -> None:
    """Small bodies of many callers in one iteration neither wait nor take a turn each."""
    iterations, queue = Iterations(), slow_turns(0.01)
    for number in range(99):
        assert await queue.run(iterations.work(f"s{number}", 1)) == f"S{number}"
    iterations.stop()
    assert {now for _, now in iterations.slices} == {0}


async def test_small_work_waits_one_iteration_behind_large() -> None:
    """Where the budget is spent, another holder's turn is the next."""
    iterations, queue = Iterations(), slow_turns(1.01)
    large = [asyncio.ensure_future(queue.run(iterations.work(f"l{n}", 50))) for n in range(20)]
    await asyncio.sleep(0)
    now = iterations.now
    assert await queue.run(iterations.work("small", 1), "other") == "SMALL"
    assert iterations.now <= now + 3
    await asyncio.gather(*large)
    iterations.stop()


async def test_a_loop_has_one_queue() -> None:
    """All callers get the same one, and another loop has its own."""
    other = asyncio.new_event_loop()
    try:
        assert turns() is turns()
        assert await asyncio.to_thread(other.run_until_complete, _own()) is not turns()
    finally:
        other.close()


async def _own() -> Turns:
    return turns()


@pytest.mark.parametrize("after", [0, 1, 2, 3, 7])
async def test_a_caller_that_goes_away_leaves_nothing(after: int) -> None:
    """Whenever it is cancelled, its work is closed and the others go on as before."""
    iterations, queue = Iterations(), slow_turns(1.01)
    staying = [asyncio.ensure_future(queue.run(iterations.work(f"s{n}", 6))) for n in range(2)]
    work = iterations.work("gone", 6)
    trace = weakref.ref(work)
    leaving = asyncio.ensure_future(queue.run(work))
    del work
    for _ in range(after):
        await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await asyncio.gather(*staying) == ["S0", "S1"]
    iterations.stop()
    gc.collect()
    assert trace() is None
    assert not queue._waiting


async def test_all_callers_go_away_and_another_comes() -> None:
    """An empty queue starts again."""
    iterations, queue = Iterations(), slow_turns(1.01)
    leaving = [asyncio.ensure_future(queue.run(iterations.work(f"g{n}", 9))) for n in range(3)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    assert not queue._waiting
    assert await queue.run(iterations.work("next", 3)) == "NEXT"
    iterations.stop()


@pytest.mark.parametrize("slices", [0, 1, 3])
async def test_a_fault_is_the_callers(slices: int) -> None:
    """Whether in the first slice or in a later one; the others go on."""
    iterations, queue = Iterations(), Turns()

    def faulty() -> Generator[None, None, str]:
        for _ in range(slices):
            yield
        raise LookupError("a fault")

    other = asyncio.ensure_future(queue.run(iterations.work("other", 5)))
    with pytest.raises(LookupError, match="a fault"):
        await queue.run(faulty())
    assert await other == "OTHER"
    iterations.stop()
