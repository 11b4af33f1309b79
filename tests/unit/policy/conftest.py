"""A policy file and its store, and the event loops that it is read and watched on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from sidecar.policy.store import PolicyStore
from tests.fakes.policy import NotingPolicyObserver
from tests.unit.policy.stores import opened, text


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test that waits on the loop that serves and on asyncio's own."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


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
