"""What several identity tests stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.identity.auth_host import AuthHost, running_auth_host


@pytest.fixture
async def host() -> AsyncIterator[AuthHost]:
    """Yield an auth host that publishes nothing yet."""
    async with running_auth_host() as host:
        yield host
