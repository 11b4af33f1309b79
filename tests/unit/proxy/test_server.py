"""The listening side."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from sidecar.settings.sections import Limits
from tests.fakes.engines import HeldEngine
from tests.fakes.upstreams import Ending, ScriptedUpstream
from tests.plane import eventually, staged

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("not an address", False),
    ],
)
async def test_who_is_trusted(peer: str, *, trusted: bool) -> None:
    """By network; an IPv4 address in IPv6 clothes is that address."""
    async with staged(trusted=["10.0.0.0/8", "fd00::/8"]) as stage:
        assert stage.server.is_trusted(peer) is trusted


async def test_connections_are_counted() -> None:
    """In when they come, out when they go."""
    async with staged() as stage:
        async with stage.client(), stage.client():
            await eventually(lambda: stage.server.open_connections == 2)
        await eventually(lambda: stage.server.open_connections == 0)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_flood_of_connections_is_accepted_one_in_an_iteration() -> None:
    """What is under way has its turn between two of them: uvloop accepts no second one."""
    async with staged() as stage:
        port = stage.server._listener.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        with contextlib.ExitStack() as flood:
            for _ in range(50):
                client = flood.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            before = 0
            while before < 50:
                await asyncio.sleep(0)
                assert stage.server.open_connections <= before + 1
                before = stage.server.open_connections


async def test_the_kernel_probes_silent_clients() -> None:
    """An accepted connection has keep-alive on, and sends small answers at once."""
    async with staged() as stage, stage.client():
        await eventually(lambda: stage.server.open_connections == 1)
        (connection,) = stage.server._connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_two_servers_can_share_a_port() -> None:
    """Workers listen side by side; without asking for it, they cannot."""
    async with staged() as one, staged() as two:
        await one.server.close()
        await two.server.close()
        port = await one.server.start("127.0.0.1", 0, reuse_port=True)
        assert await two.server.start("127.0.0.1", port, reuse_port=True) == port


async def test_draining_at_rest_ends_at_once() -> None:
    """With nothing under way there is nothing to wait for."""
    async with staged() as stage, stage.client() as client:
        await eventually(lambda: stage.server.open_connections == 1)
        async with asyncio.timeout(1.0):
            assert await stage.server.drain(60.0) is True
        assert await client.rest() == b""


async def test_draining_twice_is_draining() -> None:
    """A second signal changes nothing."""
    async with staged() as stage:
        stage.server.begin_drain()
        stage.server.begin_drain()
        assert await stage.server.drain(1.0) is True


async def test_a_new_connection_is_told_while_the_server_drains() -> None:
    """The port stays open: who has not heard yet gets a 503, not a refused connection."""
    engine = HeldEngine()
    async with staged(engine) as stage, stage.client() as first:
        await first.send(GET)
        await engine.asked.wait()
        draining = asyncio.ensure_future(stage.server.drain(5.0))
        await asyncio.sleep(0)
        answer = await stage.ask(GET)
        assert (answer.status, answer.values(b"retry-after")) == (503, [b"1"])
        engine.release.set()
        assert (await first.answer()).status == 200
        assert await draining is True


async def test_closing_ends_what_is_under_way() -> None:
    """Exchanges are cancelled and settled before close returns."""
    async with (
        ScriptedUpstream(lambda _: [Ending.HOLD]) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        await eventually(lambda: len(upstream.requests) == 1)
        await stage.server.close()
        assert stage.engine.settled_once()
        assert stage.server.open_connections == 0


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_closing_does_not_wait_for_a_client_that_does_not_read() -> None:
    """An answer that nobody takes is dropped after a moment."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + b"x" * 30_000_000
    async with (
        ScriptedUpstream(big) as upstream,
        staged(upstream=upstream, limits=Limits()) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: len(upstream.requests) == 1)
        await stage.server.close()
        assert stage.server.open_connections == 0
