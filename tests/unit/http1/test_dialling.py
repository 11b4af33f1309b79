"""Connecting by name: past dead addresses, after a move, with TLS, and through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.http1.dialling import Dialler
from sidecar.http1.tunnel import Proxy
from tests.fakes.certificates import loopback_contexts
from tests.fakes.names import FixedLookup
from tests.fakes.proxies import proxying
from tests.fakes.servers import FakeOrigin, ScriptedServer, never_accepting, serving, silent

LIVING, DEAD, OTHER_DEAD = "127.0.0.1", "127.0.0.2", "127.0.0.3"
NAME = "product.test"
AN_HOUR = 3600.0


def dialler(
    port: int,
    lookup: FixedLookup,
    *,
    context: ssl.SSLContext | None = None,
    delay: float = 0.01,
    proxy: Proxy | None = None,
) -> Dialler:
    """Make a dialler for the name at a port."""
    origin = FakeOrigin(port, host=NAME, tls=context is not None)
    return Dialler(origin, context=context, fallback_delay=delay, proxy=proxy, lookup=lookup)


@contextlib.asynccontextmanager
async def beside_the_dead() -> AsyncIterator[ScriptedServer]:
    """Serve at one address; at two others, to connect takes for ever."""
    async with serving(silent) as server:
        port = server.origin.port
        with never_accepting(DEAD, port), never_accepting(OTHER_DEAD, port):
            yield server


async def dialled(dialling: Dialler) -> str:
    """Dial, and return the address that answered."""
    transport = await dialling.dial(asyncio.Protocol)
    peer: str = transport.get_extra_info("peername")[0]
    transport.abort()
    return peer


async def test_a_dead_address_is_passed_over() -> None:
    """The next one is tried beside it, and both that never answer cost one delay each."""
    async with beside_the_dead() as server:
        dialling = dialler(server.origin.port, FixedLookup(DEAD, OTHER_DEAD, LIVING))
        assert await dialled(dialling) == LIVING
        dialling.close()


async def test_the_address_that_worked_is_tried_first() -> None:
    """The second connection waits for no delay."""
    async with beside_the_dead() as server:
        dialling = dialler(server.origin.port, FixedLookup(DEAD, LIVING))
        await dialled(dialling)
        dialling._delay = AN_HOUR
        assert await dialled(dialling) == LIVING
        dialling.close()


async def test_an_address_that_took_all_the_time_is_tried_last() -> None:
    """The first connection was given up; the next one does not repeat it."""
    async with beside_the_dead() as server:
        dialling = dialler(server.origin.port, FixedLookup(DEAD, LIVING), delay=AN_HOUR)
        hanging = asyncio.ensure_future(dialled(dialling))
        await asyncio.sleep(0.01)
        hanging.cancel()
        await asyncio.wait({hanging})
        assert await dialled(dialling) == LIVING
        dialling.close()


async def test_a_refused_address_costs_no_delay() -> None:
    """Its failure starts the next one."""
    async with serving(silent) as server:
        dialling = dialler(server.origin.port, FixedLookup(DEAD, LIVING), delay=AN_HOUR)
        assert await dialled(dialling) == LIVING
        dialling.close()


async def test_where_no_address_answers_the_cause_is_named() -> None:
    """An OSError with the system's number, however many addresses there were."""
    async with serving(silent) as server:
        for hosts in ((DEAD,), (DEAD, OTHER_DEAD)):
            dialling = dialler(server.origin.port, FixedLookup(*hosts))
            with pytest.raises(OSError, match=r".") as failed:
                await dialled(dialling)
            assert failed.value.errno == errno.ECONNREFUSED
            dialling.close()


async def test_a_server_that_moved_is_found_by_the_call_that_misses_it() -> None:
    """The name is looked up again, and the new address gets the call."""
    async with serving(silent) as server:
        lookup = FixedLookup(DEAD)
        dialling = dialler(server.origin.port, lookup)
        assert await dialling._resolver.addresses()
        dialling._resolver._ended_at -= 1.0  # a second ago
        lookup.hosts = (LIVING,)
        assert await dialled(dialling) == LIVING
        assert lookup.count == 2
        dialling.close()


async def test_a_connection_has_no_delay_of_small_writes() -> None:
    """TCP_NODELAY is set, whichever way the socket came to be."""
    async with serving(silent) as server:
        for hosts in ((LIVING,), (DEAD, LIVING)):
            dialling = dialler(server.origin.port, FixedLookup(*hosts))
            transport = await dialling.dial(asyncio.Protocol)
            stream = transport.get_extra_info("socket")
            assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            transport.abort()
            dialling.close()


async def test_tls_names_the_host_that_was_asked_for(tmp_path: Path) -> None:
    """After the race as before it: the address that answered is not what is checked."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(silent, ours) as server:
        for hosts in ((LIVING,), (DEAD, LIVING)):
            dialling = dialler(server.origin.port, FixedLookup(*hosts), context=theirs)
            with pytest.raises(ssl.SSLCertVerificationError, match=NAME):
                await dialled(dialling)
            dialling.close()


async def test_tls_works_past_a_dead_address(tmp_path: Path) -> None:
    """With a certificate that the client does not compare with the name."""
    ours, theirs = loopback_contexts(tmp_path)
    theirs.check_hostname = False
    async with serving(silent, ours) as server:
        with never_accepting(DEAD, server.origin.port):
            dialling = dialler(server.origin.port, FixedLookup(DEAD, LIVING), context=theirs)
            assert await dialled(dialling) == LIVING
            dialling.close()


async def test_through_a_proxy_the_name_is_the_proxys_to_look_up() -> None:
    """The host of the proxy is looked up here, that of the server is not."""
    async with serving(silent) as server, proxying() as proxy:
        proxy.to = server.origin.port
        lookup = FixedLookup(LIVING)
        through = Proxy("proxy.test", proxy.port, "Basic dTpw")
        dialling = dialler(443, lookup, proxy=through)
        transport = await dialling.dial(asyncio.Protocol)
        await server.arrivals.get()
        (head,) = proxy.heads
        assert head.splitlines() == [
            f"CONNECT {NAME}:443 HTTP/1.1",
            f"Host: {NAME}:443",
            "Proxy-Authorization: Basic dTpw",
            "",
        ]
        assert lookup.count == 1
        transport.abort()
        dialling.close()


async def test_tls_goes_through_the_proxy(tmp_path: Path) -> None:
    """The proxy sees the name, and nothing of what passes."""
    ours, theirs = loopback_contexts(tmp_path)
    async with serving(silent, ours) as server, proxying() as proxy:
        proxy.to = server.origin.port
        through = Proxy(LIVING, proxy.port)
        origin = FakeOrigin(server.origin.port, tls=True)
        dialling = Dialler(origin, context=theirs, fallback_delay=0.1, proxy=through)
        transport = await dialling.dial(asyncio.Protocol)
        assert transport.get_extra_info("ssl_object") is not None
        transport.abort()


async def test_a_proxy_that_refuses_is_an_error_and_keeps_no_socket() -> None:
    """The text has the status; pytest would report the socket."""
    async with proxying() as proxy:
        proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        dialling = dialler(443, FixedLookup(), proxy=Proxy(LIVING, proxy.port, "Basic c2VjcmV0"))
        with pytest.raises(OSError, match="407") as refused:
            await dialled(dialling)
        assert "c2VjcmV0" not in str(refused.value)
