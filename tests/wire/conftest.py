"""The event loops that the whole chain is tried on."""

from __future__ import annotations

import pytest

from tests.loops import BOTH, SERVING, LoopFactories


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run the random exchanges on both loops, the rest on the one that the sidecar runs on."""
    return BOTH if item.path.name == "test_random_exchanges.py" else SERVING
