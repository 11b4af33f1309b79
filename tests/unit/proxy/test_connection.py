"""A client's connection: whose bytes they are, whose turn it is, and when it ends."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from sidecar.settings.sections import Limits
from tests.e2e.holding_back import full
from tests.fakes.engines import AllowingEngine, HeldEngine, RefusingEngine
from tests.fakes.upstreams import (
    OK,
    DeafUpstream,
    Ending,
    EndlessUpstream,
    HeldUpstream,
    ScriptedUpstream,
)
from tests.loops import STEP, pass_time, settle
from tests.plane import eventually, staged, statuses, talk_every_way

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\r\n" + LAST, (200,)),
        (GET + b"\r\n" + LAST, (200, 200)),
        (b"\r\n\r\n" + LAST, (400,)),
        (b"\r\r\n" + LAST, (400,)),
        (b"\n" + LAST, (400,)),
    ],
    ids=["one", "one between", "two", "bare CR", "bare LF"],
)
async def test_one_empty_line_before_a_request(data: bytes, expected: tuple[int, ...]) -> None:
    """RFC 9112, 2.2: it is ignored, once, however it is cut."""
    async with staged() as stage:
        assert await talk_every_way(stage, data) == {expected}


async def test_no_more_is_read_than_there_is_room_for() -> None:
    """Bytes behind the current request wait, and past a bound the client is paused."""
    engine = HeldEngine()
    async with staged(engine) as stage, stage.client() as client:
        await client.send(GET)
        await engine.asked.wait()
        client.writer.write(GET * 500_000)
        (connection,) = stage.server._connections
        await eventually(lambda: not connection._reading)
        await settle()
        assert len(connection._buffer) < 1_000_000
        assert not connection._reading
        client.reset()
        engine.release.set()


async def test_every_pipelined_request_is_served_past_the_bound() -> None:
    """The client goes on when there is room again, and nothing is lost."""
    count = 2_000
    request = b"GET /deny HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_000 + b"\r\n\r\n"
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        sending = asyncio.ensure_future(client.send(request * count))
        for _ in range(count):
            assert (await client.answer()).status == 429
        await sending


async def test_of_the_requests_sent_ahead_one_is_answered_in_each_turn_of_the_loop() -> None:
    """Each is refused at once: together, they would hold the loop for as long as they like."""
    count, turns = 200, 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count_turns())
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        client.writer.write(b"GET /deny HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        for _ in range(count):
            assert (await client.answer()).status == 429
        counting.cancel()
        assert turns >= count


async def test_a_head_larger_than_the_pipeline_bound_is_read() -> None:
    """Room for what waits is never smaller than a head may be."""
    limits = Limits(max_head_bytes=300_000)
    head = b"GET /deny HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"
    async with staged(RefusingEngine(), limits=limits) as stage, stage.client() as client:
        await client.send(GET + head[:150_000], head[150_000:])
        assert [(await client.answer()).status for _ in range(2)] == [200, 429]


async def test_requests_wait_for_their_turn_while_answers_are_unread() -> None:
    """None is decided while the client does not keep up, and none is forgotten."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    engine = AllowingEngine()
    async with (
        ScriptedUpstream(big) as upstream,
        staged(engine, upstream) as stage,
        stage.client() as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET * 200)
        await full(stage)
        decided = len(engine.calls)
        await client.send(GET, GET)
        await asyncio.sleep(0.05)
        assert len(engine.calls) == decided < 150
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(202):
            assert len((await client.answer()).body) == 100_000


async def test_a_client_that_takes_little_at_a_time_is_not_slow() -> None:
    """What its kernel acknowledges is progress, though our own buffer stays full for long."""
    limits = Limits(body_idle_timeout=10.0)
    async with EndlessUpstream() as upstream, staged(upstream=upstream, limits=limits) as stage:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", stage.port))
            await loop.sock_sendall(client, GET)
            for _ in range(30):
                await loop.sock_recv(client, 8_192)
                await pass_time(1.0)
            assert stage.observer.of("closed") == []


async def test_half_closed_in_a_body_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that will never be whole is given up without a grace, and its answer with it."""
    monkeypatch.setattr("sidecar.proxy.connection._GONE_SECONDS", 3600.0)
    async with (
        DeafUpstream() as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        await upstream.heard.wait()
        client.writer.write_eof()
        await eventually(lambda: stage.gateway.drain.inflight == 0)
        assert await client.rest() == b""


async def test_half_closed_with_an_answer_that_takes_its_time() -> None:
    """The grace is short: a client that has left must not keep the product busy."""
    async with (
        ScriptedUpstream(lambda _: [0.05, OK]) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        client.writer.write_eof()
        assert statuses(await client.rest()) == (200,)
        assert stage.observer.of("closed") == []


async def test_half_closed_with_requests_sent_ahead_gets_all_answers() -> None:
    """The end of its side may be read between two exchanges."""
    ask = b"GET /deny HTTP/1.1\r\nHost: a\r\n\r\n"
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        client.writer.write(ask * 20)
        client.writer.write_eof()
        assert statuses(await client.rest()) == (429,) * 20


async def test_half_closed_in_the_body_of_a_request_sent_ahead_does_not_begin_it() -> None:
    """It could never be whole."""
    async with (
        HeldUpstream() as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        client.writer.write_eof()
        await upstream.asked.wait()
        await client.delivered()
        upstream.answer.set()
        assert statuses(await client.rest()) == (200,)
        assert len(stage.engine.calls) == 1


async def test_half_closed_with_a_long_answer_gets_all_of_it() -> None:
    """As long as the client takes what comes, it has not left."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20_000_000
    async with (
        ScriptedUpstream(big) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        client.writer.write_eof()
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            await client.reader.readexactly(1_000_000)
            await pass_time(STEP)


async def test_half_closed_in_a_body_ends_at_once_though_the_answer_is_unread() -> None:
    """What waits for the client to read does not keep the product busy."""
    async with (
        EndlessUpstream() as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await full(stage)
        client.writer.write_eof()
        await eventually(lambda: upstream.open_connections == 0)
        client.reset()


async def test_a_refused_client_that_goes_on_sending_reads_its_answer() -> None:
    """Our side is closed first and the rest thrown away, so that no reset eats the refusal."""
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        await client.send(b"POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        client.writer.write(b"x" * 2_000_000)
        await settle()
        assert statuses(await client.rest()) == (429,)


async def test_a_client_that_has_reset_the_connection_is_let_go() -> None:
    """The loop may not have read the reset yet."""
    async with staged() as stage:
        client = socket.create_connection(("127.0.0.1", stage.port))
        await eventually(lambda: stage.server.open_connections == 1)
        (connection,) = stage.server._connections
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        connection._close(whole=False)
        await eventually(lambda: stage.server.open_connections == 0)


async def test_a_refused_client_that_does_not_go_is_cut() -> None:
    """Throwing away has an end, which is counted."""
    async with staged() as stage, stage.client() as client:
        await client.send(b"nonsense\r\n\r\n")
        assert statuses(await client.rest()) == (400,)
        await pass_time(2.0, lambda: not stage.server.open_connections)
        assert stage.observer.of("closed") == ["lingering"]


async def test_a_408_does_not_wait_for_the_decision_for_ever() -> None:
    """A body too slow while the engine thinks: the 408 comes when it has thought."""
    engine = HeldEngine()
    async with (
        ScriptedUpstream() as upstream,
        staged(engine, upstream, limits=Limits(body_idle_timeout=5.0)) as stage,
        stage.client() as client,
    ):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        await engine.asked.wait()
        await pass_time(10.0, lambda: stage.observer.of("closed") == ["slow_body"])
        engine.release.set()
        assert statuses(await client.rest()) == (408,)
        assert upstream.untouched


async def test_a_slow_body_behind_an_answer_is_cut() -> None:
    """An upload that stops after the answer began cannot be answered again."""
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with (
        ScriptedUpstream(lambda _: [stream, Ending.HOLD], early=True) as upstream,
        staged(upstream=upstream, limits=Limits(body_idle_timeout=5.0)) as stage,
        stage.client() as client,
    ):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        await client.reader.readuntil(b"abc\r\n")
        await pass_time(10.0, lambda: stage.observer.of("closed") == ["slow_body"])
        assert await client.rest() == b""
        assert stage.observer.of("closed") == ["slow_body"]


async def test_without_a_limit_bodies_may_stand_still() -> None:
    """`none` for the idle time of bodies ends neither a stream nor an upload."""
    limits = Limits(body_idle_timeout=None, idle_timeout=5.0, head_timeout=5.0)
    async with staged(limits=limits) as stage, stage.client() as client:
        for part in (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", b"a"):
            await client.send(part)
            await client.delivered()
            await pass_time(10.0)
        await client.send(b"b")
        assert (await client.answer()).status == 200


ODD_CHUNKS = b"01\r\nx\r\n" * 30_000 + b"0\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_read_full_of_chunks_is_fed_over_several_iterations() -> None:
    """None takes more than 1,024 of them; nothing is lost, and the next request is read."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        talking = asyncio.ensure_future(stage.talk(CHUNKED_POST + ODD_CHUNKS + LAST))
        behind = 0
        while not talking.done():
            behind += any(connection._behind for connection in stage.server._connections)
            await asyncio.sleep(0)
        assert statuses(await talking) == (200, 200)
        assert [request.body for request in upstream.requests] == [b"x" * 30_000, b""]
        assert behind > 20


async def test_a_body_that_breaks_after_many_chunks_is_a_400() -> None:
    """Also where that is found in a later iteration."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        broken = ODD_CHUNKS[:-5] + b"oops\r\n" + LAST
        assert statuses(await stage.talk(CHUNKED_POST + broken)) == (400,)


async def test_a_client_that_goes_away_with_chunks_to_be_fed_leaves_nothing() -> None:
    """What was not fed yet is dropped."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            client.writer.write(CHUNKED_POST + ODD_CHUNKS[:-5])
            await eventually(lambda: bool(upstream.requests))
            client.reset()
        await eventually(lambda: stage.gateway.drain.inflight == 0)
