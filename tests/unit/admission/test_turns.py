"""Turns at the loop, counted: no clock is asked."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Generator

import pytest

from sidecar.admission.turns import Turns


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

    def after_the_first(self) -> list[tuple[str, int]]:
        """Return the slices that took a turn: all but the first of each."""
        seen: set[str] = set()
        turns = []
        for name, now in self.slices:
            if name in seen:
                turns.append((name, now))
            seen.add(name)
        return turns


async def test_work_of_one_slice_does_not_suspend_its_caller() -> None:
    """The engine's promise: what needs nothing from outside is decided at once."""
    iterations = Iterations()
    running = Turns().run(iterations.work("a", 1))
    with pytest.raises(StopIteration) as end:
        running.send(None)
    assert end.value.value == "A"
    iterations.stop()


async def test_one_slice_is_done_in_an_iteration_whoever_waits() -> None:
    """A hundred bodies that end at the same moment: one at a time, in order, in rounds."""
    iterations, turns = Iterations(), Turns()
    names = [f"w{number}" for number in range(100)]
    running = [turns.run(iterations.work(name, 4)) for name in names]
    assert await asyncio.gather(*running) == [name.upper() for name in names]
    iterations.stop()
    taken = iterations.after_the_first()
    assert [name for name, _ in taken] == names * 3
    moments = [now for _, now in taken]
    assert len(set(moments)) == len(moments)


async def test_work_alone_goes_on_in_each_iteration() -> None:
    """Giving way costs it no more than that."""
    iterations = Iterations()
    assert await Turns().run(iterations.work("a", 50)) == "A"
    iterations.stop()
    moments = [now for _, now in iterations.slices]
    assert moments == list(range(moments[0], moments[0] + 50))


async def test_small_work_does_not_wait_behind_large() -> None:
    """Its only slice is done at once, however long the queue is."""
    iterations, turns = Iterations(), Turns()
    large = [asyncio.ensure_future(turns.run(iterations.work(f"l{n}", 50))) for n in range(20)]
    await asyncio.sleep(0)
    now = iterations.now
    assert await turns.run(iterations.work("small", 1)) == "SMALL"
    assert iterations.now == now
    await asyncio.gather(*large)
    iterations.stop()


@pytest.mark.parametrize("after", [0, 1, 2, 3, 7])
async def test_a_caller_that_goes_away_leaves_nothing(after: int) -> None:
    """Whenever it is cancelled, its work is closed and the others go on as before."""
    iterations, turns = Iterations(), Turns()
    staying = [asyncio.ensure_future(turns.run(iterations.work(f"s{n}", 6))) for n in range(2)]
    work = iterations.work("gone", 6)
    trace = weakref.ref(work)
    leaving = asyncio.ensure_future(turns.run(work))
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
    assert (len(turns._queue), turns._scheduled) == (0, False)


async def test_all_callers_go_away_and_another_comes() -> None:
    """An empty queue starts again."""
    iterations, turns = Iterations(), Turns()
    leaving = [asyncio.ensure_future(turns.run(iterations.work(f"g{n}", 9))) for n in range(3)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    assert iterations.closed == ["g0", "g1", "g2"]
    assert await turns.run(iterations.work("next", 3)) == "NEXT"
    iterations.stop()


@pytest.mark.parametrize("slices", [0, 1, 3])
async def test_a_fault_is_the_callers(slices: int) -> None:
    """Whether in the first slice or in a later one; the others go on."""
    iterations, turns = Iterations(), Turns()

    def faulty() -> Generator[None, None, str]:
        for _ in range(slices):
            yield
        raise LookupError("a fault")

    other = asyncio.ensure_future(turns.run(iterations.work("other", 5)))
    with pytest.raises(LookupError, match="a fault"):
        await turns.run(faulty())
    assert await other == "OTHER"
    iterations.stop()
