"""The demo product on a free port, for the tests beside this file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.demo.upstream import DemoUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[DemoUpstream]:
    """A started demo product that streams without pauses."""
    demo = DemoUpstream()
    await demo.start()
    yield demo
    await demo.close()
