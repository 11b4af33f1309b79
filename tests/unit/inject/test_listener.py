"""The listener on real sockets: what it accepts, and what waits."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typing_extensions import override

from sidecar.inject.connections import ConnectionPlace, Connections
from sidecar.inject.listener import WebhookListener
from tests.plane import eventually
from tests.unit.inject.test_certificate import make_certificate

MOST = 3


class Greeting(asyncio.Protocol):
    """Says hello on a connection, and gives its place back at the end."""

    def __init__(self, place: ConnectionPlace, connections: Connections) -> None:
        self._place = place
        self._connections = connections

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._place.end = transport.abort
        transport.write(b"hello")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.free(self._place)


class Stage:
    """A listener with TLS, and clients of it."""

    def __init__(self, connections: Connections, port: int, trusted: ssl.SSLContext) -> None:
        self.connections = connections
        self.port = port
        self._trusted = trusted

    async def greet(self) -> bytes:
        """Connect, read the greeting, and go."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self._trusted
            )
            said = await reader.readexactly(5)
            writer.transport.abort()
        return said

    def mute(self) -> socket.socket:
        """Connect and say nothing."""
        return socket.create_connection(("127.0.0.1", self.port))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Run a listener with few places."""
    certificate = make_certificate(tmp_path, "first")
    connections = Connections(MOST)
    listener = WebhookListener(
        lambda place: Greeting(place, connections), connections, certificate.context()
    )
    port = listener.start("127.0.0.1", 0)
    yield Stage(connections, port, ssl.create_default_context(cafile=str(certificate.cert)))
    await listener.close()
    assert len(connections) == 0


async def test_connections_that_never_begin_keep_no_other_out(stage: Stage) -> None:
    """Their places are taken from them, before they have said a byte."""
    mute = [stage.mute() for _ in range(3 * MOST)]
    for _ in range(2):
        assert await stage.greet() == b"hello"
    assert len(stage.connections) <= MOST
    for each in mute:
        each.close()
    await eventually(lambda: len(stage.connections) == 1)  # the one that waits for a connection


async def test_what_is_not_tls_gives_its_place_back(stage: Stage) -> None:
    """A handshake that fails leaves nothing."""
    with stage.mute() as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await eventually(lambda: len(stage.connections) == 1)
    assert await stage.greet() == b"hello"


async def test_without_descriptors_it_waits_and_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """An accept that fails is told, not repeated without end, and no end of the listener."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with stage.mute() as client:
        lowest = client.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            await asyncio.sleep(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert await stage.greet() == b"hello"
    assert 1 <= caplog.messages.count("accept_failed") <= 3
