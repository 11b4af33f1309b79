"""What the peer's kernel has acknowledged."""

from __future__ import annotations

import asyncio
import socket

from sidecar.http1.delivery import acknowledged, left_unread, sent, turned_away
from tests.fakes.upstreams import ScriptedUpstream
from tests.plane import PROVABLE


async def test_bytes_count_when_the_peer_has_them() -> None:
    """The number grows by what was sent, no more and no less."""
    async with ScriptedUpstream() as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        before = acknowledged(writer.transport)
        writer.write(b"GET / HTTP/1.1\r\n")
        await asyncio.sleep(0.05)
        after = acknowledged(writer.transport)
        writer.close()
        await writer.wait_closed()
    assert (before is not None) is PROVABLE
    assert after == (before + 16 if before is not None else None)


async def test_bytes_that_nobody_reads_any_more_do_not_count() -> None:
    """A peer that has closed acknowledges nothing of what is sent to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        listener.accept()[0].close()
        before = acknowledged(writer.transport)
        writer.write(b"hello")
        await asyncio.sleep(0.05)
        assert acknowledged(writer.transport) == before
        writer.transport.abort()


async def test_a_closed_socket_tells_nothing() -> None:
    """No answer is not the answer nought."""
    async with ScriptedUpstream() as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert acknowledged(writer.transport) is None


def test_what_is_no_socket_tells_nothing() -> None:
    """A transport without a socket has no proof to give."""
    assert acknowledged(asyncio.BaseTransport()) is None


async def test_bytes_that_left_count_as_sent() -> None:
    """The number grows with what is sent, whether anybody reads it or not."""
    async with ScriptedUpstream() as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        before = sent(writer.transport)
        writer.write(b"GET / HTTP/1.1\r\n")
        await asyncio.sleep(0.05)
        assert sent(writer.transport) == (before + 16 if before is not None else None)
        writer.close()
        await writer.wait_closed()


async def test_a_closed_socket_turns_bytes_away_and_a_half_closed_one_does_not() -> None:
    """What is sent after the peer's FIN is answered by a reset only where nobody can read it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for whole in (True, False):
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            served = listener.accept()[0]
            if whole:
                served.close()
            else:
                served.shutdown(socket.SHUT_WR)
            assert not turned_away(writer.transport)
            writer.write(b"hello")
            await asyncio.sleep(0.01)
            assert turned_away(writer.transport) is (whole and PROVABLE)
            writer.transport.abort()
            served.close()
    assert not turned_away(asyncio.BaseTransport())


class Losing(asyncio.Protocol):
    """Takes, as its connection is lost, what had arrived."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport = asyncio.BaseTransport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(left_unread(self.transport))


async def test_what_arrived_before_a_write_failed_can_still_be_read() -> None:
    """The loop reads nothing more by itself."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport, protocol = await loop.create_connection(Losing, *listener.getsockname()[:2])
        peer, _ = listener.accept()
        peer.sendall(b"early")
        transport.write(b"unread, so that closing resets")
        transport.pause_reading()
        await asyncio.sleep(0.01)
        peer.close()
        transport.write(b"x")
        assert await protocol.lost == b"early"


async def test_a_connection_that_was_read_has_nothing_left() -> None:
    """Neither bytes nor an error come of it."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport, protocol = await loop.create_connection(Losing, *listener.getsockname()[:2])
        transport.abort()
        assert await protocol.lost == b""
    assert left_unread(asyncio.BaseTransport()) == b""
