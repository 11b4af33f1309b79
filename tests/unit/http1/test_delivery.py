"""What the kernel knows of the bytes that arrived: proof, or none."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from sidecar.http1.client import ClientConnection
from sidecar.http1.delivery import acknowledged
from sidecar.http1.errors import PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.certificates import loopback_contexts
from tests.fakes.handlers import RecordingHandler
from tests.fakes.servers import FakeOrigin, answering, serving, silent
from tests.fakes.transports import DeafTransport

REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
COUNTED = sys.platform == "linux"
"""Other systems do not tell what was acknowledged: there, nothing is proved."""


class AskingHandler(RecordingHandler):
    """Asks, when it is told of a failure, whether the request never arrived."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self.connection = connection
        self.never_arrived: bool | None = None

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """Ask, then record."""
        self.never_arrived = self.connection.never_arrived()
        super().on_failure(kind, detail)


def a_listener() -> socket.socket:
    """Listen on loopback without a loop, so that a test closes what it accepts at its own time."""
    return socket.create_server(("127.0.0.1", 0))


async def test_a_transport_without_a_socket_proves_nothing() -> None:
    """There is no kernel to ask."""
    assert acknowledged(DeafTransport()) is None


async def test_an_encrypted_stream_proves_nothing(tmp_path: Path) -> None:
    """The kernel counts the handshake and the records, not the request."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(silent, ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        assert acknowledged((await pool.connect()).transport) is None
        await pool.close()


async def test_what_arrived_is_acknowledged() -> None:
    """An answer is proof that the request before it came, every byte."""
    async with serving(answering(OK)) as server:
        pool = Pool(server.origin, PoolLimits())
        connection = await pool.connect()
        before = acknowledged(connection.transport)
        handler = RecordingHandler()
        connection.start(handler, "POST", REQUEST, complete=True)
        await handler.ended.wait()
        after = acknowledged(connection.transport)
        arrived = None if before is None or after is None else after - before
        assert arrived == (len(REQUEST) if COUNTED else None)
        await pool.close()


async def test_a_request_to_a_closed_socket_never_arrived() -> None:
    """A connection that its server has closed takes no byte: proof that nothing was executed."""
    with a_listener() as listener:
        pool = Pool(FakeOrigin(listener.getsockname()[1]), PoolLimits())
        connection = await pool.connect()
        handler = AskingHandler(connection)
        listener.accept()[0].close()
        connection.start(handler, "POST", REQUEST, complete=True)
        await handler.ended.wait()
        assert handler.never_arrived is COUNTED
        await pool.close()


async def test_a_request_that_was_only_not_answered_may_have_arrived() -> None:
    """The server took the bytes, whether it read them or not: no proof."""
    with a_listener() as listener:
        pool = Pool(FakeOrigin(listener.getsockname()[1]), PoolLimits())
        connection = await pool.connect()
        handler = AskingHandler(connection)
        accepted = listener.accept()[0]
        connection.start(handler, "POST", REQUEST, complete=True)
        accepted.recv(65536)
        accepted.close()
        await handler.ended.wait()
        assert handler.never_arrived is False
        await pool.close()


async def test_a_second_request_is_proved_on_its_own() -> None:
    """What was acknowledged of the first says nothing of the second."""
    with a_listener() as listener:
        pool = Pool(FakeOrigin(listener.getsockname()[1]), PoolLimits())
        connection = await pool.connect()
        accepted = listener.accept()[0]
        first = RecordingHandler()
        connection.start(first, "POST", REQUEST, complete=True)
        accepted.recv(65536)
        accepted.sendall(OK)
        await first.ended.wait()
        assert pool.take() is connection
        second = AskingHandler(connection)
        accepted.close()
        connection.start(second, "POST", REQUEST, complete=True)
        await second.ended.wait()
        assert second.never_arrived is COUNTED
        await pool.close()


async def test_a_socket_that_is_gone_proves_nothing() -> None:
    """After the end there is no kernel to ask either."""
    async with serving(silent) as server:
        pool = Pool(server.origin, PoolLimits())
        connection = await pool.connect()
        connection.abort()
        while pool.open_connections:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        assert acknowledged(connection.transport) is None
        await pool.close()
