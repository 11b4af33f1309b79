from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Iterator

import pytest

from sidecar.telemetry.slices import SLICE, gzip_in_slices, in_slices
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


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 200_000])
async def test_what_is_packed_is_the_page(size: int) -> None:
    """Whole, and the same bytes each time: no clock is in it."""
    page = random.Random(1).randbytes(size)  # noqa: S311 - the same bytes each time
    packed = await gzip_in_slices(page)
    assert gzip.decompress(packed) == page
    assert await gzip_in_slices(page) == packed


async def test_packing_gives_the_loop_back_after_each_piece() -> None:
    """A page of megabytes holds nothing up."""
    spend_a_budget_each()
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.ensure_future(other_work())
    await gzip_in_slices(bytes(2 * 1024 * 1024))
    working.cancel()
    assert turns >= 64
