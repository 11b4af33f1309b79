"""The same proof over TLS. Its close_notify proves nothing: TCP itself must have ended in order."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from sidecar.http1 import tls
from sidecar.http1.client import ClientConnection
from sidecar.http1.delivery import ended
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.certificates import loopback_contexts
from tests.fakes.servers import FakeOrigin
from tests.fakes.tls_records import Records
from tests.loops import settle
from tests.plane import PATIENCE, PROVABLE, eventually
from tests.unit.http1.test_client_never_arrived import OK, REQUEST, RESET, AskingHandler


class PatientTlsServer:
    """A server whose every step the test takes, and which never holds the loop."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = loopback_contexts(folder)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        origin = FakeOrigin(self._listener.getsockname()[1], tls=True)
        self.pool = Pool(origin, PoolLimits(connect_timeout=PATIENCE), theirs)
        self.records = Records(ours)

    async def kept(self, exchanges: int) -> tuple[ClientConnection, socket.socket]:
        """Return a connection after so many exchanges."""
        opening = asyncio.ensure_future(self.pool.connect())
        served, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        served.setblocking(False)

        def shake_hands() -> bool:
            self._take(served)
            return opening.done() and self.records.open

        await eventually(shake_hands)
        await settle()
        connection = opening.result()
        for _ in range(exchanges):
            handler = self.ask(connection)
            assert await self.read(served) == REQUEST
            served.sendall(self.records.say(OK))
            await handler.ended.wait()
            assert self.pool.take() is connection
        return connection, served

    async def read(self, served: socket.socket) -> bytes:
        """Wait for what the client says next."""
        said = b""

        def has_come() -> bool:
            nonlocal said
            said = self._take(served)
            return said != b""

        await eventually(has_come)
        return said

    def _take(self, served: socket.socket) -> bytes:
        """Read what has come, and go on with the handshake."""
        try:
            plain = self.records.take(served.recv(65536))
        except BlockingIOError:
            return b""
        if reply := self.records.say():
            served.sendall(reply)
        return plain

    def ask(self, connection: ClientConnection) -> AskingHandler:
        """Send a request."""
        handler = AskingHandler(connection)
        connection.start(handler, "POST", REQUEST, complete=True)
        return handler

    async def close(self) -> None:
        """End it all."""
        await self.pool.close()
        self._listener.close()


async def received(served: socket.socket) -> bytes:
    """Wait for bytes, encrypted as they are."""
    return await asyncio.get_running_loop().sock_recv(served, 65536)


@pytest.mark.parametrize("notifies", [True, False])
@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_had_closed_before_has_not(
    tmp_path: Path, exchanges: int, *, notifies: bool
) -> None:
    """With close_notify and without, as both are common."""
    server = PatientTlsServer(tmp_path)
    connection, served = await server.kept(exchanges)
    if notifies:
        served.sendall(server.records.close())
    served.close()
    handler = server.ask(connection)
    await handler.ended.wait()
    assert handler.never_arrived is PROVABLE
    await server.close()


@pytest.mark.parametrize("notifies", [True, False])
@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_reads_and_closes_has_had_the_request(
    tmp_path: Path, exchanges: int, *, notifies: bool
) -> None:
    """Its FIN acknowledges what it has read."""
    server = PatientTlsServer(tmp_path)
    connection, served = await server.kept(exchanges)
    handler = server.ask(connection)
    assert await server.read(served) == REQUEST
    if notifies:
        served.sendall(server.records.close())
    served.close()
    await handler.ended.wait()
    assert handler.never_arrived is False
    await server.close()


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_notifies_and_resets_may_have_had_the_request(
    tmp_path: Path, exchanges: int, *, reads: bool
) -> None:
    """It notified before the request came, read on, and then reset: no FIN, and no proof."""
    server = PatientTlsServer(tmp_path)
    connection, served = await server.kept(exchanges)
    served.sendall(server.records.close())
    handler = server.ask(connection)
    if reads:
        assert await received(served)
    served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    served.close()
    await handler.ended.wait()
    assert handler.never_arrived is False
    await server.close()


async def test_a_reset_that_our_own_close_notify_meets_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports it to that write, and what is read after it looks like a FIN.

    Whether that let a request pass for one that never came hung on when its kernel acknowledged.
    """
    server = PatientTlsServer(tmp_path)
    connection, served = await server.kept(1)
    served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def ended_before_the_reset(transport: asyncio.BaseTransport) -> bool:
        found = ended(transport)
        served.close()
        return found

    monkeypatch.setattr(tls, "ended", ended_before_the_reset)
    served.sendall(server.records.close())
    handler = server.ask(connection)
    await handler.ended.wait()
    assert connection._closed_in_order is False
    await server.close()


@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_notifies_and_reads_on_may_have_the_request(
    tmp_path: Path, exchanges: int
) -> None:
    """TLS lets it: only its own side has ended."""
    server = PatientTlsServer(tmp_path)
    connection, served = await server.kept(exchanges)
    served.sendall(server.records.close())
    handler = server.ask(connection)
    await handler.ended.wait()
    assert await received(served)
    assert handler.never_arrived is False
    served.close()
    await server.close()


@pytest.mark.parametrize("exchanges", [0, 1, 5])
async def test_a_server_that_closed_its_sending_side_may_still_have_it(
    tmp_path: Path, exchanges: int
) -> None:
    """It reads on, and its kernel acknowledges when it likes."""
    server = PatientTlsServer(tmp_path)
    connection, served = await server.kept(exchanges)
    served.sendall(server.records.close())
    served.shutdown(socket.SHUT_WR)
    handler = server.ask(connection)
    await handler.ended.wait()
    assert await received(served)
    assert handler.never_arrived is False
    served.close()
    await server.close()


async def test_a_connection_reset_before_the_request_carries_none(
    tmp_path: Path,
) -> None:
    """The reset is here already, and not yet noticed: not one byte leaves."""
    server = PatientTlsServer(tmp_path)
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
