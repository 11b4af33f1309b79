"""What several identity tests stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.loops import SERVING, LoopFactories
from tests.unit.identity.auth_host import AuthHost, running_auth_host


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run the tests on the loop that the sidecar runs on."""
    return SERVING


@pytest.fixture
async def host() -> AsyncIterator[AuthHost]:
    """Yield an auth host that publishes nothing yet."""
    async with running_auth_host() as host:
        yield host
