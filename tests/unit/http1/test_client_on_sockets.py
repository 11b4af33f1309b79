"""The same connection on real sockets: what only a network does to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.handlers import RecordingHandler
from tests.fakes.servers import (
    FakeOrigin,
    ScriptedServer,
    adding,
    answering,
    closing_after,
    echoing,
    not_reading,
    resetting_after,
    serving,
    silent,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"


@contextlib.asynccontextmanager
async def pool_of(server: ScriptedServer) -> AsyncIterator[Pool]:
    """Make a pool of connections to a server, and close it after all."""
    pool = Pool(server.origin, PoolLimits())
    try:
        yield pool
    finally:
        await pool.close()


def ask(connection: ClientConnection, *, complete: bool = True) -> RecordingHandler:
    """Send a request on a connection."""
    handler = RecordingHandler()
    connection.start(handler, "POST", REQUEST, complete=complete)
    return handler


async def test_a_connection_serves_one_exchange_after_the_other() -> None:
    """Whole answers keep it alive."""
    async with serving(answering(OK, OK, OK)) as server, pool_of(server) as pool:
        for _ in range(3):
            handler = ask(pool.take() or await pool.connect())
            await handler.ended.wait()
            assert handler.content == b"ok"
        assert len(server.visits) == 1


async def test_a_stream_that_ends_in_the_middle_is_cut_off() -> None:
    """The answer never looks whole."""
    async with serving(closing_after(OK[:-1])) as server, pool_of(server) as pool:
        handler = ask(await pool.connect())
        await handler.ended.wait()
        assert (handler.content, handler.failure) == (b"o", PeerFailure.CUT_OFF)


async def test_a_body_until_close_is_whole_at_the_end_of_its_stream() -> None:
    """Its end is the only one it has."""
    async with serving(closing_after(b"HTTP/1.1 200 OK\r\n\r\nok")) as server, pool_of(server) as p:
        handler = ask(await p.connect())
        await handler.ended.wait()
        assert (handler.content, handler.whole, p.take()) == (b"ok", True, None)


async def test_a_body_until_close_that_is_reset_is_cut_off() -> None:
    """A reset is no end of a stream."""
    heard = asyncio.Event()
    script = resetting_after(b"HTTP/1.1 200 OK\r\n\r\nok", heard)
    async with serving(script) as server, pool_of(server) as pool:
        connection = await pool.connect()
        handler = ask(connection)
        while handler.content != b"ok":
            await handler.told()
        connection.write(handler, b"x" * 4_000_000)  # unread: closing resets, whatever the loop
        heard.set()
        await handler.ended.wait()
        assert (handler.whole, handler.failure) == (False, PeerFailure.CUT_OFF)


async def test_a_connection_that_ends_unanswered_is_closed_early() -> None:
    """Not one byte of an answer came, which is what a stale connection looks like."""
    async with serving(closing_after(b"")) as server, pool_of(server) as pool:
        handler = ask(await pool.connect())
        await handler.ended.wait()
        assert handler.failure is PeerFailure.CLOSED_EARLY


EARLY = b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nlarge"


@pytest.mark.parametrize(
    ("answer", "content", "failure"),
    [
        (EARLY, b"large", None),
        (EARLY[:-1], b"larg", PeerFailure.CUT_OFF),
        (b"HTTP/1.1 413 X\r\n\r\nlarge", b"large", PeerFailure.CUT_OFF),
        (b"HTTP/1.1 100 C\r\n\r\n", b"", PeerFailure.CUT_OFF),
        (b"", b"", PeerFailure.CLOSED_EARLY),
    ],
    ids=["whole", "cut", "until close", "interim", "none"],
)
async def test_an_answer_that_came_before_a_failed_write_is_read(
    answer: bytes, content: bytes, failure: PeerFailure | None
) -> None:
    """It is whole where its length says so; what only the end delimits is cut off by a reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = Pool(FakeOrigin(listener.getsockname()[1]), PoolLimits())
        connection = await pool.connect()
        served, _ = listener.accept()
        handler = ask(connection, complete=False)
        connection.write(handler, b"unread, so that closing resets")
        await asyncio.sleep(0.01)
        served.sendall(answer)
        served.close()
        connection.write(handler, b"x")
        await handler.ended.wait()
        assert (handler.content, handler.failure) == (content, failure)
        assert (pool.take(), pool.open_connections) == (None, 0)
        await pool.close()


async def test_late_bytes_end_an_idle_connection() -> None:
    """They are not read as the answer to the next request."""
    late = asyncio.Event()
    async with serving(adding(OK, OK, late)) as server, pool_of(server) as pool:
        handler = ask(await pool.connect())
        await handler.ended.wait()
        late.set()
        await server.visits[0].ended.wait()
        assert pool.take() is None


async def test_a_server_that_does_not_read_holds_the_sender_back() -> None:
    """Writing stops being welcome when the server's side is full, and is again once it reads."""
    reads = asyncio.Event()
    async with serving(not_reading(b"", reads)) as server, pool_of(server) as pool:
        connection = await pool.connect()
        handler = ask(connection, complete=False)
        while not handler.writable:
            connection.write(handler, b"x" * 65536)
            await asyncio.sleep(0)
        reads.set()
        while len(handler.writable) < 2:
            await handler.told()
        assert handler.writable == [False, True]


async def test_a_connection_clogged_by_its_request_is_not_used_again() -> None:
    """The server answered without reading; what waits would delay whoever comes next."""
    reads = asyncio.Event()
    async with serving(not_reading(OK, reads)) as server, pool_of(server) as pool:
        connection = await pool.connect()
        handler = RecordingHandler()
        connection.start(handler, "POST", REQUEST + b"x" * 16_000_000, complete=True)
        await handler.ended.wait()
        assert (handler.whole, pool.take()) == (True, None)
        connection.transport.abort()


async def test_a_client_that_gives_up_ends_the_connection_at_once() -> None:
    """The server sees it go, and the handler hears nothing."""
    async with serving(silent) as server, pool_of(server) as pool:
        connection = await pool.connect()
        handler = ask(connection)
        connection.abort(handler)
        visit = await server.arrivals.get()
        await visit.ended.wait()
        assert (handler.ended.is_set(), pool.open_connections) == (False, 0)


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    """After a 101 the connection is a pipe, and ends when the server ends it."""
    switch = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with serving(echoing(switch)) as server, pool_of(server) as pool:
        connection = await pool.connect()
        handler = ask(connection)
        while handler.head is None:
            await handler.told()
        connection.write(handler, b"\x00\r\n0\r\n\r\n")
        while handler.content != b"\x00\r\n0\r\n\r\n":
            await handler.told()
        connection.write(handler, b"bye")
        await handler.ended.wait()
        assert (handler.whole, pool.take()) == (True, None)
