"""The event loops that the wire is tried on."""

from __future__ import annotations

import pytest

from tests.loops import BOTH, LoopFactories


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run each test that waits on the loop that serves and on asyncio's own."""
    return BOTH
