"""Loops whose time is turned: what is due runs, once, in its order."""

from __future__ import annotations

import asyncio

import pytest

from tests.loops import BOTH, pass_time, turn

ON_BOTH = pytest.mark.parametrize("loop", BOTH)


@ON_BOTH
def test_what_is_due_runs_once_in_its_order_and_what_is_cancelled_does_not(loop: str) -> None:
    """An hour takes no time."""
    ran: list[int] = []

    async def an_hour() -> None:
        running = asyncio.get_running_loop()
        running.call_later(3600, ran.append, 2)
        running.call_later(1800, ran.append, 1)
        running.call_later(1900, ran.append, 9).cancel()
        running.call_later(7200, ran.append, 3)
        turn(3601)
        await pass_time(0)

    with asyncio.Runner(loop_factory=BOTH[loop]) as runner:
        runner.run(an_hour())
    assert ran == [1, 2]


@ON_BOTH
def test_a_timeout_ends_by_turned_time(loop: str) -> None:
    """Sleeps and timeouts take the same time as timers do."""

    async def wait() -> None:
        async with asyncio.timeout(60):
            turn(61)
            await asyncio.sleep(3600)

    with asyncio.Runner(loop_factory=BOTH[loop]) as runner, pytest.raises(TimeoutError):
        runner.run(wait())
