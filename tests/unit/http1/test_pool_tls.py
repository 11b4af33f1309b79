"""The pool over TLS: whom it trusts, and how an encrypted stream may end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.certificates import loopback_contexts
from tests.fakes.handlers import RecordingHandler
from tests.fakes.servers import (
    FakeOrigin,
    answering,
    closing_after,
    serving,
    silent,
    speaking_first,
)

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nok"


async def failure_of(pool: Pool) -> PeerFailure:
    """Return how a connect failed."""
    with pytest.raises(ConnectFailedError) as caught:
        await pool.connect()
    assert pool.open_connections == 0
    return caught.value.kind


async def answer_from(pool: Pool) -> RecordingHandler:
    """Ask once and wait for the end."""
    handler = RecordingHandler()
    (await pool.connect()).start(handler, "GET", REQUEST, complete=True)
    await handler.ended.wait()
    return handler


async def test_an_encrypted_answer_is_read(tmp_path: Path) -> None:
    """TLS changes nothing of the exchange, and the connection comes back."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(answering(OK), ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        handler = await answer_from(pool)
        assert (handler.content, pool.take() is not None) == (b"ok", True)
        await pool.close()


async def test_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    """A certificate that no known authority has signed is a failure before one byte has left."""
    ours, _ = loopback_contexts(tmp_path)
    async with serving(silent, ours) as server:
        assert await failure_of(Pool(server.origin, PoolLimits())) is PeerFailure.TLS


async def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    """The certificate has to name the host that was asked for."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(silent, ours) as server:
        server.origin.host = "localhost"
        assert await failure_of(Pool(server.origin, PoolLimits(), theirs)) is PeerFailure.TLS


async def test_a_server_without_tls_is_a_failure(tmp_path: Path) -> None:
    """What it says is no handshake."""
    _, theirs = loopback_contexts(tmp_path)
    async with serving(speaking_first(OK)) as server:
        server.origin.tls = True
        assert await failure_of(Pool(server.origin, PoolLimits(), theirs)) is PeerFailure.TLS


async def test_a_handshake_that_does_not_end_is_a_timeout(tmp_path: Path) -> None:
    """It is a part of connecting, and bounded with it."""
    _, theirs = loopback_contexts(tmp_path)
    async with serving(silent) as server:
        server.origin.tls = True
        pool = Pool(server.origin, PoolLimits(connect_timeout=0.02), theirs)
        assert await failure_of(pool) is PeerFailure.CONNECT_TIMEOUT


async def test_a_stream_closed_in_due_form_ends_its_body(tmp_path: Path) -> None:
    """The server's close_notify is the end of a body that has no other."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(closing_after(UNTIL_CLOSE), ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        handler = await answer_from(pool)
        assert (handler.content, handler.whole) == (b"ok", True)
        await pool.close()


def _cut_without_notice(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Answer one connection, and end TCP under the TLS stream as an attacker could."""
    raw, _ = listener.accept()
    with context.wrap_socket(raw, server_side=True) as stream:
        stream.recv(65536)
        stream.sendall(UNTIL_CLOSE)
        stream.shutdown(socket.SHUT_WR)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_stream_cut_below_tls_is_no_end(tmp_path: Path) -> None:
    """An end that the server did not sign must not make a shorter body look whole.

    On the loop that serves: asyncio's own tells such an end like any other.
    """
    ours, theirs = loopback_contexts(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cutting = asyncio.get_running_loop().run_in_executor(
            None, _cut_without_notice, listener, ours
        )
        origin = FakeOrigin(listener.getsockname()[1], tls=True)
        pool = Pool(origin, PoolLimits(), theirs)
        handler = await answer_from(pool)
        await cutting
        assert (handler.whole, handler.failure) == (False, PeerFailure.CUT_OFF)
        await pool.close()
