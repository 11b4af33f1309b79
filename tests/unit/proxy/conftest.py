"""The event loops that the data plane is tried on."""

from __future__ import annotations

from typing import Final

import pytest

from tests.loops import BOTH, SERVING, LoopFactories

ON_BOTH: Final = {"test_connection.py", "test_drain.py", "test_relay.py", "test_server.py"}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run what holds transports and deadlines on both loops, the rest on the one that serves."""
    return BOTH if item.path.name in ON_BOTH else SERVING
