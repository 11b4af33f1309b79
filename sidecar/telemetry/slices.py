"""Long work on the event loop, in slices: between two of them everything else has its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

SLICE: Final = 400
"""Steps of one slice, such as the samples of a page: well under 2 ms on a slow core."""


async def in_slices(steps: Iterable[object]) -> None:
    """Run all `steps`, and give the loop back after each `SLICE` of them."""
    for done, _ in enumerate(steps, 1):
        if done % SLICE == 0:
            await asyncio.sleep(0)
