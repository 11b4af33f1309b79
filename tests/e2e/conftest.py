"""The event loops that the data plane is tried on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.loops import BOTH, SERVING, LoopFactories

HANGING_SECONDS: Final = 150.0
"""Below pytest's own timeout, which ends the whole run and leaves processes behind."""


ON_BOTH: Final = {
    "test_conformance_aborts.py",
    "test_conformance_exchanges.py",
    "test_conformance_held_back.py",
    "test_conformance_lifecycle.py",
    "test_conformance_load.py",
}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run what holds transports and deadlines on both loops, the rest on the one that serves."""
    return BOTH if item.path.name in ON_BOTH else SERVING


@pytest.fixture(autouse=True)
async def _end_what_hangs() -> AsyncIterator[None]:
    """Cancel a test that hangs, so that it names itself and closes what it opened."""

    def end() -> None:
        for task in asyncio.all_tasks():
            task.cancel(f"hanging after {HANGING_SECONDS:.0f} s")

    timer = asyncio.get_running_loop().call_later(HANGING_SECONDS, end)
    yield
    timer.cancel()
