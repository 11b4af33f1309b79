"""The pool by name: a slow name server costs the connections that need it, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.names import FixedLookup, HeldLookup
from tests.fakes.servers import FakeOrigin, ScriptedServer, never_accepting, serving, silent

NAME = "product.test"


async def arrived(server: ScriptedServer, count: int) -> None:
    """Wait until so many connections are at the server."""
    for _ in range(count):
        await server.arrivals.get()


async def test_many_connections_wait_for_one_lookup() -> None:
    """Forty connections, one lookup, and all of them are opened."""
    async with serving(silent) as server:
        lookup = HeldLookup()
        pool = Pool(FakeOrigin(server.origin.port, NAME), PoolLimits(), lookup=lookup)
        opening = [asyncio.ensure_future(pool.connect()) for _ in range(40)]
        await lookup.begun(1)
        lookup.answer("127.0.0.1")
        await asyncio.gather(*opening)
        await arrived(server, 40)
        assert (pool.open_connections, len(lookup.asked)) == (40, 1)
        await pool.close()


async def test_a_lookup_that_takes_too_long_is_a_timeout() -> None:
    """Each connection ends in its own time; the next one waits for the same lookup."""
    async with serving(silent) as server:
        lookup = HeldLookup()
        limits = PoolLimits(connect_timeout=0.02)
        pool = Pool(FakeOrigin(server.origin.port, NAME), limits, lookup=lookup)
        for _ in range(3):
            with pytest.raises(ConnectFailedError) as failed:
                await pool.connect()
            assert failed.value.kind is PeerFailure.CONNECT_TIMEOUT
        assert len(lookup.asked) == 1
        lookup.answer("127.0.0.1")
        await pool.connect()
        await pool.close()


async def test_one_pools_lookups_hold_up_no_other_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's name server hangs; the product is found by name all the same."""
    release = threading.Event()
    hanging: list[threading.Thread] = []

    def ask(host: str, *_: object, **__: object) -> list[object]:
        if host == "platform.test":
            hanging.append(threading.current_thread())
            assert release.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    async with serving(silent) as server:
        port = server.origin.port
        platform = Pool(FakeOrigin(port, "platform.test"), PoolLimits())
        product = Pool(FakeOrigin(port, NAME), PoolLimits())
        waiting = [asyncio.ensure_future(platform.connect()) for _ in range(64)]
        for _ in range(3):
            await product.connect()
        assert len(hanging) == 1
        assert not any(task.done() for task in waiting)
        release.set()
        await asyncio.gather(*waiting)
        await arrived(server, 67)
        await platform.close()
        await product.close()


async def test_closing_ends_a_wait_for_a_name() -> None:
    """It is a failed connect, and no task is left."""
    lookup = HeldLookup()
    pool = Pool(FakeOrigin(1, NAME), PoolLimits(), lookup=lookup)
    opening = asyncio.ensure_future(pool.connect())
    await lookup.begun(1)
    await pool.close()
    with pytest.raises(ConnectFailedError) as failed:
        await opening
    assert failed.value.kind is PeerFailure.CONNECT


@pytest.mark.parametrize(
    ("connect_timeout", "wanted"), [(2.0, 0.25), (0.25, 0.0625), (0.15, 0.0375)]
)
async def test_the_next_address_gets_a_share_of_the_time(
    connect_timeout: float, wanted: float
) -> None:
    """At most 250 ms (RFC 8305, section 5), and never more than a quarter of it all."""
    limits = PoolLimits(connect_timeout=connect_timeout)
    pool = Pool(FakeOrigin(1, NAME), limits, lookup=FixedLookup())
    assert pool._dialler._delay == wanted


async def test_a_dead_address_leaves_time_for_a_living_one() -> None:
    """Within the time for connecting."""
    async with serving(silent) as server:
        with never_accepting("127.0.0.2", server.origin.port):
            lookup = FixedLookup("127.0.0.2", "127.0.0.1")
            pool = Pool(FakeOrigin(server.origin.port, NAME), PoolLimits(), lookup=lookup)
            await pool.connect()
            await pool.close()
