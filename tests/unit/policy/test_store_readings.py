"""The policy in force, while what reads its file is slow or comes to grief."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.policy.compiled import Policy
from sidecar.policy.problems import Problem, UnreadError
from sidecar.policy.reading import read_here
from tests.fakes.policy import NotingPolicyObserver
from tests.unit.policy.stores import INTERVAL, opened, put, text, until, watching


async def test_a_look_during_a_slow_reading_does_not_bring_back_older_bytes(file: Path) -> None:
    """It looks again once it is its turn."""
    slow = SlowReading(str(file))
    store = opened(file, read=slow)
    put(file, text("second"))
    first = asyncio.create_task(store.reload())
    await slow.begun.wait()
    put(file, text("older"))
    look = asyncio.create_task(store._look(settle=0))
    second = asyncio.create_task(store.reload())
    await asyncio.sleep(INTERVAL)
    put(file, text("newest"))
    slow.go_on.set()
    await asyncio.gather(first, look, second)
    assert store.current.product == "newest"


class SlowReading:
    """Reads once it is let go on; `begun` tells that somebody waits."""

    def __init__(self, file: str) -> None:
        self._read = read_here(file, {})
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, data: bytes) -> Policy:
        self.begun.set()
        await self.go_on.wait()
        return await self._read(data)


class FailingReading:
    """Comes to grief as often as it is told, then reads."""

    def __init__(self, file: str, mishaps: list[Exception]) -> None:
        self._read = read_here(file, {})
        self._mishaps = mishaps
        self.asked = 0

    async def __call__(self, data: bytes) -> Policy:
        self.asked += 1
        if self._mishaps:
            raise self._mishaps.pop(0)
        return await self._read(data)


async def test_a_reading_that_came_to_grief_is_tried_again(
    file: Path, observer: NotingPolicyObserver
) -> None:
    """The file is as good as it was: nobody has to touch it."""
    unread = UnreadError([Problem("p", 1, 1, "could not be read: killed")])
    store = opened(file, observer, read=FailingReading(str(file), [unread, unread]))
    async with watching(store):
        put(file, text("second"))
        await until(lambda: store.last_error is not None)
        await until(lambda: store.current.product == "second")
    assert observer.outcomes == ["rejected", "rejected", "loaded"]
    assert store.last_error is None


async def test_readings_that_come_to_grief_become_rare(file: Path) -> None:
    """A process a second would be a load of its own."""
    unread = UnreadError([Problem("p", 1, 1, "could not be read: killed")])
    failing = FailingReading(str(file), [unread] * 1000)
    store = opened(file, read=failing)
    async with watching(store):
        put(file, text("second"))
        await until(lambda: failing.asked == 4)
        assert store._rest >= 8


async def test_a_change_ends_the_rest(file: Path) -> None:
    """It is another file that is to be read, and maybe a smaller one."""
    unread = UnreadError([Problem("p", 1, 1, "could not be read: killed")])
    failing = FailingReading(str(file), [unread] * 5)
    store = opened(file, read=failing)
    async with watching(store):
        put(file, text("second"))
        await until(lambda: failing.asked == 5)
        assert store._rest > 16
        put(file, text("third"))
        await until(lambda: store.current.product == "third")
    assert (store._rest, store._mishaps) == (0, 0)


async def test_a_fault_leaves_the_file_watched(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next change is seen."""
    store = opened(file, read=FailingReading(str(file), [RuntimeError("ours")]))
    async with watching(store):
        put(file, text("second"))
        await until(lambda: "policy_look_failed" in caplog.messages)
        put(file, text("third"))
        await until(lambda: store.current.product == "third")
