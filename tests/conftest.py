"""What holds for every test."""

from __future__ import annotations

import functools
import gc
import logging
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx._config
import httpx._transports.default
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import settings

from tests.properties.examples import EXPLORE

# A deadline would make a test's verdict depend on how busy the machine is. And the same examples
# each time: a change must not fail for what it has not touched. `make properties` tries others.
settings.register_profile("house", deadline=None, derandomize=not EXPLORE)
settings.load_profile("house")

FIRST = tuple(
    f"tests/{name}/"
    for name in (
        "kubernetes/observability",
        "soak",
        "stateful",
        "wire",
        "e2e",
        "differential",
        "kubernetes",
        "doors",
        "resources",
        "properties",
        "unit/workers",
        "unit/storage",
        "unit/local_platform",
        "unit/commands",
        "unit/client",
    )
)

PATIENCE = 30.0
# Nor may a client's 5 seconds: it waits for good answers.
for part in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, part, PATIENCE)
# Each client would read the certificates of all authorities, in 16 ms, which no test needs twice.
httpx._transports.default.create_ssl_context = functools.cache(  # type: ignore[attr-defined]  # imported there
    httpx.create_ssl_context
)


# All that is imported and collected stays to the end: three million objects, which each collection
# of garbage would go through, in each of six processes.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the collector look at what comes from here on."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest begin first: the last to end decide how long the suite takes.

    These wait for programs and deadlines; what follows computes, and fills the processor.
    """
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    return next((n for n, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))


@pytest.fixture(scope="session", autouse=True)
def _one_first_key_for_all_platforms() -> Iterator[None]:
    """Make and read the key that a local platform begins with once: that takes a twentieth second.

    Each platform gives it a `kid` of its own, and makes a new one when it rotates.
    """
    make = import_module("sidecar.local_platform.signing").make_signing_key
    read = serialization.load_pem_private_key
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sidecar.local_platform.server.make_signing_key", functools.cache(make))
        patch.setattr(serialization, "load_pem_private_key", functools.lru_cache(100)(read))
        yield


@pytest.fixture(scope="module", autouse=True)
def _levels_of_the_logs() -> Iterator[None]:
    """Put the levels back after each file: a command that runs in the process sets them."""
    loggers = [logging.getLogger(), logging.getLogger("sidecar")]
    before = [each.level for each in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Iterator[None]:
    """Send each report as text that pytest-xdist can encode: some tests log lone surrogates."""
    data: Any = yield
    return _encodable(data)  # type: ignore[no-any-return]  # what pytest wants back


def _encodable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {_encodable(key): _encodable(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(map(_encodable, data))
    return data
