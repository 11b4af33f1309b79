"""Time that our own loop loses: measured, and not counted against a peer."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from sidecar.app.loop_watch import LoopWatch
from sidecar.domain.stalls import (
    LONGEST_SECONDS,
    Allowance,
    RunningTime,
    always_on_time,
    ends_within,
)


class TurnedLoop:
    """A loop's clock, and what it has lost, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stalls: list[tuple[float, float]] = []

    def lost(self, since: float) -> float:
        """Return what was lost since then."""
        return sum(seconds for ended, seconds in self.stalls if ended > since)

    def allowance(self, seconds: float) -> Allowance:
        """Begin to count."""
        return Allowance(seconds, self.now, lambda: self.now, self.lost)

    def run(self, seconds: float) -> None:
        """Let the loop run."""
        self.now += seconds

    def stall(self, seconds: float) -> None:
        """Hold the loop."""
        self.now += seconds
        self.stalls.append((self.now, seconds))


def test_time_that_the_loop_ran_is_used_up() -> None:
    """A peer that is slow runs out of time."""
    loop = TurnedLoop()
    allowance = loop.allowance(0.25)
    loop.run(0.2)
    assert round(allowance.left, 6) == 0.05
    loop.run(0.05)
    assert round(allowance.left, 6) <= 0.0


def test_time_that_the_loop_lost_is_made_up_for() -> None:
    """A peer that has answered meanwhile is still read."""
    loop = TurnedLoop()
    loop.stall(3.0)  # before it began: of no account
    allowance = loop.allowance(0.25)
    loop.run(0.1)
    loop.stall(2.0)
    assert round(allowance.left, 6) == 0.15
    assert not allowance.overloaded


def test_a_process_that_loses_too_much_is_overloaded() -> None:
    """No wait is without an end."""
    loop = TurnedLoop()
    allowance = loop.allowance(0.25)
    loop.stall(LONGEST_SECONDS + 1.0)
    assert allowance.left < 0.0
    assert allowance.overloaded


async def test_what_ends_in_time_is_waited_for() -> None:
    """And what does not is left to its owner."""
    now = asyncio.get_running_loop().time
    done, never = asyncio.Event(), asyncio.Event()
    quick = asyncio.ensure_future(done.wait())
    slow = asyncio.ensure_future(never.wait())
    done.set()
    assert await ends_within(Allowance(5.0, now(), now, always_on_time), quick)
    assert not await ends_within(Allowance(0.01, now(), now, always_on_time), slow)
    assert not slow.done()
    slow.cancel()


async def test_a_wait_goes_on_for_as_long_as_the_loop_was_held() -> None:
    """The answer comes after the deadline, and before the time of a running loop is up."""
    watch = LoopWatch(lambda _: None)
    now = asyncio.get_running_loop().time
    came = asyncio.Event()
    task = asyncio.ensure_future(came.wait())
    asyncio.get_running_loop().call_later(0.01, time.sleep, 0.3)
    asyncio.get_running_loop().call_later(
        0.01, lambda: asyncio.get_running_loop().call_later(0.05, came.set)
    )
    assert await ends_within(Allowance(0.2, now(), now, watch.lost), task)
    watch.close()


async def test_running_time_ends_in_time() -> None:
    """A peer that does not answer is given up."""
    with pytest.raises(TimeoutError):
        async with RunningTime(0.01):
            await asyncio.Event().wait()


async def test_running_time_reads_what_came_while_the_loop_was_held() -> None:
    """The deadline has passed when the loop runs again, and the answer is there."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def hold() -> None:
        theirs.send(b"here")
        time.sleep(0.2)

    loop.call_soon(hold)
    async with RunningTime(0.05):
        assert await loop.sock_recv(ours, 4) == b"here"
    ours.close()
    theirs.close()


async def test_running_time_does_not_hide_a_cancellation() -> None:
    """A task that waits can still be cancelled from outside."""
    waiting = asyncio.Event()

    async def wait() -> None:
        async with RunningTime(60.0):
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(wait())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
