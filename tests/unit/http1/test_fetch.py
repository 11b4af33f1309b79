"""One bounded GET against servers on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.fetch import Fetched, FetchFailedError, fetch
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.servers import (
    ScriptedServer,
    Visit,
    answering,
    closing_after,
    refused_port,
    serving,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


@contextlib.asynccontextmanager
async def pool_of(server: ScriptedServer) -> AsyncIterator[Pool]:
    """Make a pool of connections to a server, and close it after all."""
    pool = Pool(server.origin, PoolLimits(connections=1))
    try:
        yield pool
    finally:
        await pool.close()


async def get(pool: Pool, limit: int = 5) -> Fetched:
    """Fetch with a field of the caller's."""
    return await fetch(pool, "/keys", fields=(("accept", "text/plain"),), limit=limit)


@pytest.mark.parametrize("answer", [OK, CHUNKED, b"HTTP/1.1 103 Early\r\n\r\n" + OK])
async def test_an_answer_is_put_together(answer: bytes) -> None:
    """Whatever its framing, and at its limit to the byte."""
    async with serving(answering(answer)) as server, pool_of(server) as pool:
        assert await get(pool) == Fetched(200, b"hello")


async def test_an_answer_may_end_with_its_connection() -> None:
    """As HTTP/1.0 servers send it."""
    answer = b"HTTP/1.0 404 Not Found\r\n\r\nhello"
    async with serving(closing_after(answer)) as server, pool_of(server) as pool:
        assert await get(pool) == Fetched(404, b"hello")


async def test_the_request_has_the_callers_fields_and_asks_for_no_compression() -> None:
    """And the path is sent as it is."""
    heads: list[bytes] = []

    async def script(visit: Visit) -> None:
        heads.append(await visit.head())
        visit.writer.write(OK)

    async with serving(script) as server, pool_of(server) as pool:
        await get(pool)
        assert heads[0].split(b"\r\n") == [
            b"GET /keys HTTP/1.1",
            f"host: {server.origin.authority}".encode(),
            b"accept: text/plain",
            b"accept-encoding: identity",
            b"connection: close",
            b"",
            b"",
        ]


async def test_each_fetch_has_a_connection_of_its_own() -> None:
    """Also where the server would keep it: it may be minutes until the next one."""
    async with serving(answering(OK, OK)) as server, pool_of(server) as pool:
        for _ in range(3):
            await get(pool)
        assert len(server.visits) == 3


@pytest.mark.parametrize("answer", [OK, CHUNKED, b"HTTP/1.1 500 No\r\n\r\n" + b"x" * 70_000])
async def test_a_body_past_the_limit_is_not_kept(answer: bytes) -> None:
    """The status is; the connection ends, however much is still to come."""
    async with serving(answering(answer)) as server, pool_of(server) as pool:
        found = await get(pool, limit=4)
        assert (found.status, found.body) == (int(answer[9:12]), None)
        await server.visits[0].ended.wait()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", PeerFailure.CLOSED_EARLY),
        (OK[:-1], PeerFailure.CUT_OFF),
        (b"220 mail.test\r\n", PeerFailure.PROTOCOL),
    ],
)
async def test_half_an_answer_is_a_failure(answer: bytes, kind: PeerFailure) -> None:
    """So is one that is not HTTP."""
    async with serving(closing_after(answer)) as server, pool_of(server) as pool:
        with pytest.raises(FetchFailedError) as failed:
            await get(pool)
        assert failed.value.kind is kind


async def test_a_server_that_cannot_be_reached_is_a_failure_of_its_own() -> None:
    """The pool's own error, which names the server."""
    async with serving(answering(OK)) as server, pool_of(server) as pool:
        server.origin.port = refused_port()
        with pytest.raises(ConnectFailedError, match=str(server.origin.port)):
            await get(pool)


async def test_a_fetch_that_is_given_up_ends_its_connection() -> None:
    """As at a timeout: what comes later is not read."""
    arrived = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.head()
        arrived.set()

    async with serving(script) as server, pool_of(server) as pool:
        fetching = asyncio.create_task(get(pool))
        await arrived.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await server.visits[0].ended.wait()
        assert pool.open_connections == 0
