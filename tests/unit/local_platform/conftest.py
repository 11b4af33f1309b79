"""A running platform with the acme seed, its clock, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sidecar.local_platform import LocalPlatform
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme
from tests.unit.local_platform.hooks import Receiver


@pytest.fixture
def clock() -> TurnedClock:
    """2025-10-09 08:53:20 UTC, until turned."""
    return TurnedClock()


@pytest.fixture
async def platform(clock: TurnedClock) -> AsyncIterator[LocalPlatform]:
    """A platform on a free port, in memory."""
    running = LocalPlatform(seed=acme.seed(), clock=clock, close_deadline=1.0)
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def caller(platform: LocalPlatform) -> AsyncIterator[acme.Caller]:
    """A client of the platform."""
    async with aiohttp.ClientSession() as session:
        yield acme.Caller(session, platform.url)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A product's webhook receiver."""
    made = Receiver()
    await made.start()
    yield made
    await made.close()
