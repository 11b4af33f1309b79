"""The event loop that serves."""

from __future__ import annotations

import pytest

from tests.loops import SERVING, LoopFactories


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run the tests on the loop that the sidecar runs on."""
    return SERVING
