"""The demo product on a free port, for the tests beside this file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.recording_product import RecordingProduct


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingProduct]:
    """A started demo product that streams without pauses."""
    demo = RecordingProduct()
    await demo.start()
    yield demo
    await demo.close()
