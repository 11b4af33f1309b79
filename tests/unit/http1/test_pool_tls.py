"""The pool over TLS: whom it trusts, and how an encrypted stream may end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.certificates import loopback_contexts
from tests.fakes.handlers import RecordingHandler
from tests.fakes.servers import (
    FakeOrigin,
    Script,
    Visit,
    answering,
    closing_after,
    echoing,
    serving,
    silent,
    speaking_first,
)
from tests.fakes.tls_records import Records

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


async def test_an_expired_certificate_is_not_trusted(tmp_path: Path) -> None:
    """Also where the authority is known."""
    ours, theirs = loopback_contexts(tmp_path, expired=True)
    async with serving(silent, ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        with pytest.raises(ConnectFailedError, match="certificate has expired") as caught:
            await pool.connect()
        assert caught.value.kind is PeerFailure.TLS


async def test_a_server_that_closes_in_the_handshake_is_no_verdict_on_tls(tmp_path: Path) -> None:
    """It may be starting, and the error says when it closed."""
    _, theirs = loopback_contexts(tmp_path)

    async def closing(visit: Visit) -> None:
        await visit.reader.read(1)
        visit.reset()

    async with serving(closing) as server:
        server.origin.tls = True
        assert await failure_of(Pool(server.origin, PoolLimits(), theirs)) is PeerFailure.CONNECT


def spoken(context: ssl.SSLContext, then: Callable[[Visit, Records], Awaitable[None]]) -> Script:
    """Shake hands and read a request on a plain connection, then leave the records to `then`."""

    async def script(visit: Visit) -> None:
        records = Records(context)
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += records.take(await visit.reader.read(65536))
            visit.writer.write(records.say())
        await then(visit, records)

    return script


@contextlib.asynccontextmanager
async def speaking(
    folder: Path, then: Callable[[Visit, Records], Awaitable[None]]
) -> AsyncIterator[Pool]:
    """Give a pool of connections to a server whose records are the test's own."""
    ours, theirs = loopback_contexts(folder)
    async with serving(spoken(ours, then)) as server:
        server.origin.tls = True
        pool = Pool(server.origin, PoolLimits(), theirs)
        try:
            yield pool
        finally:
            await pool.close()


async def test_an_answer_may_come_byte_by_byte(tmp_path: Path) -> None:
    """Records are put together, wherever the network cuts them."""

    async def then(visit: Visit, records: Records) -> None:
        for byte in records.say(OK):
            visit.writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async with speaking(tmp_path, then) as pool:
        handler = await answer_from(pool)
        assert (handler.content, pool.take() is not None) == (b"ok", True)


async def test_an_answer_may_come_in_many_records_at_once(tmp_path: Path) -> None:
    """One for each byte, all in one segment."""

    async def then(visit: Visit, records: Records) -> None:
        visit.writer.write(b"".join(records.say(bytes([byte])) for byte in OK))

    async with speaking(tmp_path, then) as pool:
        handler = await answer_from(pool)
        assert (handler.content, pool.take() is not None) == (b"ok", True)


async def test_a_stream_cut_below_tls_is_no_end(tmp_path: Path) -> None:
    """An end that the server did not sign must not make a shorter body look whole."""

    async def then(visit: Visit, records: Records) -> None:
        visit.writer.write(records.say(UNTIL_CLOSE))
        visit.writer.write_eof()

    async with speaking(tmp_path, then) as pool:
        handler = await answer_from(pool)
        assert (handler.whole, handler.failure) == (False, PeerFailure.CUT_OFF)


async def test_a_connection_closed_by_us_says_so(tmp_path: Path) -> None:
    """An idle one that its pool closes: the server reads close_notify, not only an end."""
    closed = asyncio.Event()

    async def then(visit: Visit, records: Records) -> None:
        visit.writer.write(records.say(OK))
        while data := await visit.reader.read(65536):
            records.take(data)
            if records.closed:
                closed.set()

    async with speaking(tmp_path, then) as pool:
        await answer_from(pool)
        connection = pool.take()
        assert connection is not None
        connection.close()
        await closed.wait()


async def test_connections_resume_the_first_ones_session(tmp_path: Path) -> None:
    """The server verifies nothing and sends no certificate."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(answering(OK), ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        for _ in range(3):
            await answer_from(pool)
        reused = [v.writer.get_extra_info("ssl_object").session_reused for v in server.visits]
        assert reused == [False, True, True]
        await pool.close()


async def test_a_large_body_waits_for_the_server_that_reads_slowly(tmp_path: Path) -> None:
    """Writing is paused, little is held, and all of it arrives."""
    ours, theirs = loopback_contexts(tmp_path)
    reads, size = asyncio.Event(), 8_000_000

    async def slow(visit: Visit) -> None:
        await visit.head()
        await reads.wait()
        assert await visit.reader.readexactly(size) == b"x" * size
        visit.writer.write(OK)

    async with serving(slow, ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        connection, handler = await pool.connect(), RecordingHandler()
        connection.start(handler, "POST", REQUEST, complete=False)
        left, most = size, 0
        while left:
            while handler.writable[-1:] == [False]:
                reads.set()
                await handler.told()
            piece = min(left, 100_000)
            connection.write(handler, b"x" * piece)
            left -= piece
            most = max(most, connection.transport.get_write_buffer_size())
            await asyncio.sleep(0)
        connection.complete_request(handler)
        await handler.ended.wait()
        assert handler.writable[0] is False
        assert most < 64 * 1024 + 101_000
        await pool.close()


async def test_a_large_answer_waits_for_the_handler_that_reads_slowly(tmp_path: Path) -> None:
    """Once reading is paused nothing more comes, and then all of it does."""
    ours, theirs = loopback_contexts(tmp_path)
    size = 8_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    async with serving(answering(answer), ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        connection, handler = await pool.connect(), RecordingHandler()
        connection.start(handler, "GET", REQUEST, complete=True)
        while not handler.content:
            await handler.told()
        connection.pause_reading(handler)
        before = len(handler.content)
        await asyncio.sleep(0.02)
        assert len(handler.content) == before
        connection.resume_reading(handler)
        await handler.ended.wait()
        assert (handler.content, pool.take() is connection) == (b"x" * size, True)
        await pool.close()


EARLY = b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nlarge"


async def test_an_early_answer_behind_a_failed_write_is_read(tmp_path: Path) -> None:
    """The server answers, closes with the body unread, and the next write fails: as without TLS."""
    ours, theirs = loopback_contexts(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = Pool(FakeOrigin(listener.getsockname()[1], tls=True), PoolLimits(), theirs)
        accepting = asyncio.get_running_loop().run_in_executor(None, accept, listener, ours)
        connection, handler = await pool.connect(), RecordingHandler()
        served = await accepting
        connection.start(handler, "POST", REQUEST, complete=False)
        connection.pause_reading(handler)  # so that the write fails first
        connection.write(handler, b"x" * 100_000)
        await asyncio.sleep(0.02)
        served.sendall(EARLY)
        served.close()
        await asyncio.sleep(0.02)
        for _ in range(3):
            connection.write(handler, b"x")
            await asyncio.sleep(0)
        await handler.ended.wait()
        assert (handler.whole, handler.content) == (True, b"large")
        await pool.close()


def accept(listener: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Accept a connection, and shake hands on it."""
    return context.wrap_socket(listener.accept()[0], server_side=True)


async def test_an_upgrade_goes_through_tls(tmp_path: Path) -> None:
    """Both ways, until the server says goodbye."""
    ours, theirs = loopback_contexts(tmp_path)
    switching = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with serving(echoing(switching), ours) as server:
        pool = Pool(server.origin, PoolLimits(), theirs)
        connection, handler = await pool.connect(), RecordingHandler()
        connection.start(handler, "GET", REQUEST, complete=True)
        while handler.head is None:
            await handler.told()
        connection.write(handler, b"hello")
        while handler.content != b"hello":
            await handler.told()
        connection.write(handler, b"bye")
        await handler.ended.wait()
        assert (handler.head.status, handler.whole) == (101, True)
        await pool.close()
