"""A policy file and its store, and the event loop that it is read and watched on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.policy.store import PolicyStore
from tests.fakes.policy import NotingPolicyObserver
from tests.loops import SERVING, LoopFactories
from tests.unit.policy.stores import opened, text


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Run the tests on the loop that the sidecar runs on."""
    return SERVING


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good policy's file."""
    path = tmp_path / "policy.yaml"
    path.write_text(text("first"))
    return path


@pytest.fixture
def observer() -> NotingPolicyObserver:
    """What the store tells."""
    return NotingPolicyObserver()


@pytest.fixture
def store(file: Path, observer: NotingPolicyObserver) -> PolicyStore:
    """A store that has loaded the file."""
    return opened(file, observer)
