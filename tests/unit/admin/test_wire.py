from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import AsyncIterator

import pytest
import uvloop

from sidecar.admin import wire
from sidecar.admin.listening import listen_at
from sidecar.admin.server import AdminServer
from sidecar.answers.writer import OwnAnswer
from tests.fakes.admin import StaticMetrics, StaticState

LOCAL = b"Host: 127.0.0.1\r\n"
BOMB = gzip.compress(b"\0" * 50_000_000)
"""Small to send, large to read."""


@contextlib.asynccontextmanager
async def admin(state: StaticState | None = None) -> AsyncIterator[AdminServer]:
    """Run an admin port."""
    server = AdminServer(state or StaticState(), StaticMetrics())
    await server.start("127.0.0.1", 0)
    yield server
    await server.close()


async def answer_to(*packets: bytes, state: StaticState | None = None) -> bytes:
    """Send packets to an admin port and return what comes back until it closes."""
    async with admin(state) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        for packet in packets:
            writer.write(packet)
            await asyncio.sleep(0.01)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


def status_of(answer: bytes) -> int:
    """Return the status of the first answer."""
    return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01 not http\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /" + b"a" * 9000,
        b"GET / HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a: b\r\n" * 101 + b"\r\n",
    ],
)
async def test_what_is_not_http_gets_a_plain_400(raw: bytes) -> None:
    """Nothing is repeated, no version is named, the connection closes."""
    head, _, body = (await answer_to(raw)).partition(b"\r\n\r\n")
    assert status_of(head) == 400
    assert b"server: bb-sidecar\r\n" in head.lower() + b"\r\n"
    assert body == b'{"detail":"not a request that this port understands"}'


async def test_what_is_not_http_costs_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """No traceback for a port scanner."""
    with caplog.at_level(logging.INFO, "sidecar"):
        await answer_to(b"GET / HTTP/9.9\r\n\r\n")
    assert [(r.message, r.exc_info) for r in caplog.records] == [("admin_bad_request", None)]


@pytest.mark.parametrize("path", [b"/health", b"/metrics", b"/reload", b"/drain", b"/nothing"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Length: 1000000\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n", 413),
        (b"Content-Length: 1000000\r\nContent-Encoding: gzip\r\n", 415),
        (b"Content-Encoding: br\r\n", 415),
        (b"Content-Length: 5\r\nExpect: 100-continue\r\n", 413),
    ],
)
async def test_a_body_is_refused_by_its_head(
    method: bytes, path: bytes, fields: bytes, status: int
) -> None:
    """Not one byte of it is waited for, and nothing is done."""
    state = StaticState()
    raw = method + b" " + path + b" HTTP/1.1\r\n" + LOCAL + fields + b"\r\n"
    answer = await answer_to(raw, state=state)
    assert status_of(answer) == status
    assert b"\r\nConnection: close\r\n" in answer
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"detail"}
    assert (state.reloads, state.drains) == (0, 0)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_bomb_is_thrown_away_as_it_comes(loop: str) -> None:
    """The answer arrives all the same, and what follows the body is no request."""

    async def send() -> None:
        head = b"POST /reload HTTP/1.1\r\n" + LOCAL + b"Content-Encoding: gzip\r\n"
        body = BOMB + b"\0" * 1_000_000
        raw = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        state = StaticState()
        follows = b"POST /drain HTTP/1.1\r\n" + LOCAL + b"\r\n"
        answer = await answer_to(raw, follows, state=state)
        assert status_of(answer) == 415
        assert answer.count(b"HTTP/1.1") == 1
        assert state.drains == 0

    if loop == "uvloop":
        uvloop.run(send())
    else:
        asyncio.run(send())


async def test_no_more_is_thrown_away_than_is_polite() -> None:
    """A flood ends with the connection."""
    async with admin() as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"POST /drain HTTP/1.1\r\n" + LOCAL + b"Content-Length: 99999999\r\n\r\n")
        assert status_of(await reader.read()) == 413
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                writer.write(b"\0" * 100_000)
                await writer.drain()
                sent += 100_000
        writer.transport.abort()
    assert sent < 100_000_000


@pytest.mark.parametrize("path", [b"/reload", b"/drain"])
@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_an_empty_body_passes(path: bytes, rest: bytes) -> None:
    """However a client writes that it has none."""
    state = StaticState()
    raw = b"POST " + path + b" HTTP/1.1\r\nConnection: close\r\n" + LOCAL + rest
    assert status_of(await answer_to(raw, state=state)) in {200, 202}
    assert state.reloads + state.drains == 1


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    """In one packet, or byte by byte; the last one closes."""
    raw = b"".join(
        b"GET " + path + b" HTTP/1.1\r\n" + LOCAL + rest + b"\r\n"
        for path, rest in [
            (b"/health", b""), (b"/nothing", b""), (b"/ready", b"Connection: close\r\n"),
        ]
    )  # fmt: skip
    for packets in ([raw], [raw[:50], raw[50:]]):
        answer = await answer_to(*packets)
        assert [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]] == [200, 404, 200]


async def test_head_has_no_body() -> None:
    """Its length is that of the page."""
    answer = await answer_to(b"HEAD /health HTTP/1.1\r\nConnection: close\r\n" + LOCAL + b"\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status_of(head), body) == (200, b"")
    assert b"Content-Length: 15" in head


async def test_http_1_0_closes() -> None:
    """Unless it asks to stay."""
    assert b"Connection: close" in await answer_to(b"GET /health HTTP/1.0\r\n\r\n")


async def test_a_client_that_has_said_all_still_gets_its_answer() -> None:
    """As `nc` does; then the connection ends."""
    async with admin() as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /health HTTP/1.1\r\n" + LOCAL + b"\r\n")
        writer.write_eof()
        assert status_of(await reader.read()) == 200
        writer.close()
        await writer.wait_closed()


async def test_what_is_slow_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a head, and silence between two requests."""
    monkeypatch.setattr(wire, "_HEAD_SECONDS", 0.05)
    monkeypatch.setattr(wire, "_IDLE_SECONDS", 0.05)
    async with admin() as server:
        for raw in (b"", b"GET /he", b"GET /health HTTP/1.1\r\n" + LOCAL + b"\r\n"):
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(raw)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.transport.abort()


async def test_an_answer_that_is_not_read_ends_with_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scraper that stalls holds neither its page nor its place."""
    monkeypatch.setattr(wire, "_SEND_SECONDS", 0.05)
    page = wire.answer_of(b"x" * 32_000_000)

    async def large(_request: wire.AdminRequest) -> OwnAnswer:
        return page

    server = await listen_at("--metrics", "127.0.0.1", 0, wire.AdminConnections(large))
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=1)
    writer.write(b"GET /metrics HTTP/1.1\r\n" + LOCAL + b"\r\n")
    await reader.readexactly(1)
    await asyncio.sleep(0.2)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(32_000_000)
    writer.transport.abort()
    server.close()


async def test_requests_sent_ahead_let_other_work_run() -> None:
    """However many of them one packet holds."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    seen: list[int] = []

    async def quick(_request: wire.AdminRequest) -> OwnAnswer:
        seen.append(turns)
        return wire.as_json({})

    server = await listen_at("--metrics", "127.0.0.1", 0, wire.AdminConnections(quick))
    counting = asyncio.create_task(others())
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write((b"GET / HTTP/1.1\r\n" + LOCAL + b"\r\n") * 20 + b"GET / HTTP/1.0\r\n\r\n")
    await reader.read()
    counting.cancel()
    writer.close()
    server.close()
    assert len(set(seen)) == 21


async def test_a_new_connection_takes_the_place_of_an_idle_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever opens many and says nothing keeps no probe away."""
    monkeypatch.setattr(wire, "_MAX_CONNECTIONS", 5)
    async with admin() as server:
        idle = [await asyncio.open_connection(*server.address) for _ in range(20)]
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /health HTTP/1.1\r\n" + LOCAL + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        for _, each in idle:
            each.transport.abort()


@pytest.mark.parametrize(("method", "probed"), [(b"GET", True), (b"POST", False)])
async def test_a_new_connection_takes_the_place_of_the_oldest_request(
    monkeypatch: pytest.MonkeyPatch, method: bytes, *, probed: bool
) -> None:
    """A pod that asks on every connection keeps no probe away; a change goes on to its end."""
    monkeypatch.setattr(wire, "_MAX_CONNECTIONS", 5)
    never, asked = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(request: wire.AdminRequest) -> OwnAnswer:
        if request.path == "/slow":
            asked.release()
            await never.wait()
        return wire.as_json({})

    server = await listen_at("--metrics", "127.0.0.1", 0, wire.AdminConnections(slow))
    address = server.sockets[0].getsockname()[:2]
    busy = [await asyncio.open_connection(*address) for _ in range(5)]
    for _, each in busy:
        each.write(method + b" /slow HTTP/1.1\r\n" + LOCAL + b"\r\n")
        await asked.acquire()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /health HTTP/1.1\r\n" + LOCAL + b"\r\n")
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.readline()
    assert answer.startswith(b"HTTP/1.1 200 ") is probed
    for _, each in (*busy, (reader, writer)):
        each.transport.abort()
    server.close()


async def test_clients_that_read_no_answer_keep_no_probe_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their answers may wait for half a minute: a probe would fail for as long."""
    monkeypatch.setattr(wire, "_MAX_CONNECTIONS", 5)
    page = wire.answer_of(b"x" * 32_000_000)

    async def large(request: wire.AdminRequest) -> OwnAnswer:
        return page if request.path == "/metrics" else wire.as_json({})

    server = await listen_at("--metrics", "127.0.0.1", 0, wire.AdminConnections(large))
    address = server.sockets[0].getsockname()[:2]
    unread = [await asyncio.open_connection(*address, limit=1) for _ in range(5)]
    for reader, each in unread:
        each.write(b"GET /metrics HTTP/1.1\r\n" + LOCAL + b"\r\n")
        await reader.readexactly(1)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /health HTTP/1.1\r\n" + LOCAL + b"\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    for _, each in (*unread, (reader, writer)):
        each.transport.abort()
    server.close()


async def test_a_reader_that_does_not_read_gets_one_answer_at_a_time() -> None:
    """A thousand requests at once are a thousand answers, none made before it can be sent."""
    async with admin() as server:
        reader, writer = await asyncio.open_connection(*server.address)
        one = b"GET /metrics HTTP/1.1\r\nAccept: " + b"x" * 2000 + b"\r\n" + LOCAL + b"\r\n"
        writer.write(one * 1000 + b"GET /health HTTP/1.0\r\n\r\n")
        await asyncio.sleep(0.05)
        assert (await reader.read(-1)).count(b"HTTP/1.1 200 OK") == 1001
        writer.close()
        await writer.wait_closed()
