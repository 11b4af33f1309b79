"""The event loops that the data plane is tried on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import pytest
import uvloop

HANGING_SECONDS: Final = 45.0
"""Below pytest's own timeout, which ends the whole run and leaves processes behind."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the conformance tests on both loops, the others on the one that serves."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.name.startswith("test_conformance_"):
        loops["asyncio"] = asyncio.new_event_loop
    return loops


@pytest.fixture(autouse=True)
async def _end_what_hangs() -> AsyncIterator[None]:
    """Cancel a test that hangs, so that it names itself and closes what it opened."""

    def end() -> None:
        for task in asyncio.all_tasks():
            task.cancel(f"hanging after {HANGING_SECONDS:.0f} s")

    timer = asyncio.get_running_loop().call_later(HANGING_SECONDS, end)
    yield
    timer.cancel()
