from __future__ import annotations

import asyncio
from collections.abc import Iterator

from sidecar.telemetry.slices import SLICE, in_slices
from tests.fakes.turns import spend_a_budget_each


async def test_the_loop_has_a_turn_after_each_slice() -> None:
    """No sooner, and no later."""
    spend_a_budget_each()
    done = 0
    seen: list[int] = []

    def steps() -> Iterator[None]:
        nonlocal done
        for _ in range(3 * SLICE + 1):
            done += 1
            yield

    async def other_work() -> None:
        while True:
            seen.append(done)
            await asyncio.sleep(0)

    working = asyncio.ensure_future(other_work())
    await in_slices(steps())
    working.cancel()
    assert done == 3 * SLICE + 1
    assert seen[:3] == [SLICE, 2 * SLICE, 3 * SLICE]


async def test_no_steps_are_no_work() -> None:
    """An empty page."""
    await in_slices(())
