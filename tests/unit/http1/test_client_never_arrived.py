"""When a request that failed may be sent again: only where the kernel proves that it never came."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from typing_extensions import override

from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.handlers import RecordingHandler
from tests.fakes.servers import FakeOrigin
from tests.plane import PROVABLE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


class AskingHandler(RecordingHandler):
    """Asks for the proof at the moment when the relay does."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self._connection = connection
        self.never_arrived: bool | None = None

    @override
    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        self.never_arrived = self._connection.never_arrived()
        super().on_failure(kind, detail)


class PatientServer:
    """A server on a blocking socket, whose every step the test takes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.pool = Pool(FakeOrigin(self._listener.getsockname()[1]), PoolLimits())

    async def kept(self, exchanges: int) -> tuple[ClientConnection, socket.socket]:
        """Return a connection after so many exchanges; its kernel acknowledges late by then."""
        connection = await self.pool.connect()
        served, _ = self._listener.accept()
        for _ in range(exchanges):
            handler = self.ask(connection)
            await asyncio.sleep(0.01)
            assert served.recv(1000) == REQUEST
            served.sendall(OK)
            await handler.ended.wait()
            assert self.pool.take() is connection
        return connection, served

    def ask(self, connection: ClientConnection) -> AskingHandler:
        """Send a request."""
        handler = AskingHandler(connection)
        connection.start(handler, "POST", REQUEST, complete=True)
        return handler

    async def close(self) -> None:
        """End it all."""
        await self.pool.close()
        self._listener.close()


@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_reads_and_resets_has_had_the_request(exchanges: int) -> None:
    """Its reset overtakes the acknowledgement: the count says nothing, and proves nothing."""
    server = PatientServer()
    connection, served = await server.kept(exchanges)
    handler = server.ask(connection)
    await asyncio.sleep(0.005)
    assert served.recv(1000) == REQUEST
    served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    served.close()
    await handler.ended.wait()
    assert handler.never_arrived is False
    await server.close()


@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_reads_and_closes_has_had_the_request(exchanges: int) -> None:
    """Its FIN acknowledges what it has read."""
    server = PatientServer()
    connection, served = await server.kept(exchanges)
    handler = server.ask(connection)
    await asyncio.sleep(0.005)
    assert served.recv(1000) == REQUEST
    served.close()
    await handler.ended.wait()
    assert handler.never_arrived is False
    await server.close()


@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_had_closed_before_has_not(exchanges: int) -> None:
    """It hung up, and did not hear what was said after that."""
    server = PatientServer()
    connection, served = await server.kept(exchanges)
    served.close()
    handler = server.ask(connection)
    await handler.ended.wait()
    assert handler.never_arrived is PROVABLE
    await server.close()


@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_closed_its_sending_side_may_still_have_it(exchanges: int) -> None:
    """It reads on, and its kernel acknowledges when it likes: there is no proof."""
    server = PatientServer()
    connection, served = await server.kept(exchanges)
    served.shutdown(socket.SHUT_WR)
    handler = server.ask(connection)
    await handler.ended.wait()
    assert served.recv(1000) == REQUEST
    assert handler.never_arrived is False
    served.close()
    await server.close()


async def test_a_connection_reset_before_the_request_carries_none() -> None:
    """The reset is here already, and not yet noticed: not one byte leaves."""
    server = PatientServer()
    connection, served = await server.kept(1)
    connection.transport.pause_reading()
    served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    served.close()
    await asyncio.sleep(0.02)
    handler = server.ask(connection)
    if not connection.transport.is_closing():
        connection.transport.resume_reading()
    await handler.ended.wait()
    assert handler.never_arrived is PROVABLE
    await server.close()
