"""Slow and silent: conformance family 39."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from sidecar.domain.model import AttemptEnd, Reason
from sidecar.settings.sections import Limits
from tests.e2e.holding_back import full, go_on_reading, held_by, stop_reading
from tests.fakes.engines import HeldEngine, ReadingEngine
from tests.fakes.upstreams import (
    OK,
    DeafUpstream,
    Ending,
    EndlessUpstream,
    ScriptedUpstream,
    TunnellingUpstream,
)
from tests.loops import pass_time
from tests.plane import Stage, eventually, staged, statuses

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE: Final = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
BLOCK: Final = b"10000\r\n" + b"x" * 65536 + b"\r\n"
STREAM: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

SHORT: Final = Limits(
    head_timeout=12.0, idle_timeout=12.0, body_idle_timeout=12.0, answer_idle_timeout=12.0
)
"""Longer than any test takes: the tests turn the loop's clock past them."""

LONG_ENOUGH: Final = 14.0
"""Past the limits above, and the two sweeps that see to them."""


async def status_after(stage: Stage, sent: bytes, upstream: ScriptedUpstream) -> int:
    """Return the status of what comes though the upstream thinks for longer than the limits."""
    async with stage.client() as client:
        await client.send(sent)
        await eventually(lambda: bool(upstream.requests))
        await pass_time(LONG_ENOUGH)
        return (await client.answer()).status


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\nHost: a", b"\r\n", GET[:-1]])
async def test_a_slow_head_is_a_408(part: bytes) -> None:
    """39: from its first byte a head has a time, however much of it is there."""
    async with staged(limits=SHORT) as stage:
        assert statuses(await stage.talk_for(LONG_ENOUGH, part)) == (408,)
        assert stage.observer.of("closed") == ["slow_head"]


async def test_a_head_that_trickles_in_is_not_given_time_again() -> None:
    """39: a byte now and then does not hold the connection."""
    async with staged(limits=SHORT) as stage, stage.client() as client:
        for _ in range(3):
            await client.send(b"G")
            await client.delivered()
            await pass_time(LONG_ENOUGH / 4)
        assert statuses(await client.rest_in(LONG_ENOUGH / 4)) == (408,)


@pytest.mark.parametrize("before", [b"", GET], ids=["new", "after an answer"])
async def test_a_silent_connection_is_closed(before: bytes) -> None:
    """39: no byte for a time: closed without a word, and counted."""
    async with staged(limits=SHORT) as stage, stage.client() as client:
        await client.send(before)
        if before:
            await client.answer()
        assert await client.rest_in(LONG_ENOUGH) == b""
        assert stage.observer.of("closed") == ["idle"]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nab"]
)
async def test_a_slow_body_is_a_408(framing: bytes) -> None:
    """39: a body that stops half-way ends the request, and gives the upstream up."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream, limits=SHORT) as stage:
        came = await stage.talk_for(LONG_ENOUGH, b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        assert statuses(came) == (408,)
        assert stage.observer.of("closed") == ["slow_body"]
        await eventually(lambda: upstream.open_connections == 0)
        assert stage.engine.executions == [AttemptEnd.DONE]


async def test_a_slow_body_that_is_read_here_is_a_408() -> None:
    """39: also while the engine waits for the body, of which the upstream knows nothing."""
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
    async with (
        ScriptedUpstream() as upstream,
        staged(ReadingEngine(), upstream, limits=SHORT) as stage,
    ):
        assert statuses(await stage.talk_for(LONG_ENOUGH, request)) == (408,)
        assert upstream.untouched


async def test_a_body_that_moves_is_not_slow() -> None:
    """39: what arrives slowly but steadily may take longer than the limit."""
    parts = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n", *[b"x"] * 8]
    async with staged(limits=SHORT) as stage, stage.client() as client:
        for part in parts:
            await client.send(part)
            await client.delivered()
            await pass_time(LONG_ENOUGH / 4)
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("idle", [60.0, None])
async def test_a_body_that_trickles_in_for_ever_is_a_408(idle: float | None) -> None:
    """39: a byte now and then holds a place at the product for a time, and not for ever."""
    limits = Limits(body_idle_timeout=idle, request_timeout=12.0)
    async with ScriptedUpstream() as upstream, staged(upstream=upstream, limits=limits) as stage:
        async with stage.client() as client:
            for part in (UPLOAD, *[b"1\r\nx\r\n"] * 2):
                await client.send(part)
                await client.delivered()
                await pass_time(LONG_ENOUGH / 4)
            assert statuses(await client.rest_in(LONG_ENOUGH / 2)) == (408,)
        assert stage.observer.of("closed") == ["slow_body"]
        await eventually(lambda: upstream.open_connections == 0)


async def test_an_answer_may_take_longer_than_its_request() -> None:
    """39: the time of a request ends with its last byte."""
    upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    async with (
        ScriptedUpstream(lambda _: [LONG_ENOUGH, OK]) as upstream,
        staged(upstream=upstream, limits=Limits(request_timeout=12.0)) as stage,
    ):
        assert await status_after(stage, upload + b"abc", upstream) == 200


async def test_a_slow_reader_is_cut() -> None:
    """39: who reads nothing of an answer for a time is cut off, and counted."""
    async with (
        EndlessUpstream() as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        stop_reading(client)
        await full(stage)
        await pass_time(2 * LONG_ENOUGH, lambda: bool(stage.observer.of("closed")))
        await eventually(lambda: stage.observer.of("closed") == ["slow_reader"])
        await eventually(lambda: upstream.open_connections == 0)


async def test_a_reader_that_reads_is_not_slow() -> None:
    """39: a client that takes little at a time, but takes it, keeps its stream."""
    async with (
        EndlessUpstream() as upstream,
        staged(upstream=upstream, limits=Limits(body_idle_timeout=0.4)) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        for _ in range(8):
            stop_reading(client)
            await asyncio.sleep(0.2)
            go_on_reading(client)
            await asyncio.sleep(0.02)
        assert stage.observer.of("closed") == []
        client.reset()


async def test_an_unread_last_answer_is_cut() -> None:
    """39: also where only the rest of a closing answer waits for the client to read."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + b"x" * 30_000_000
    async with (
        ScriptedUpstream(big) as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
        stage.client() as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        stop_reading(client)
        await full(stage)
        await pass_time(2 * LONG_ENOUGH, lambda: bool(stage.observer.of("closed")))
        await eventually(lambda: stage.server.open_connections == 0)
        assert stage.observer.of("closed") == ["slow_reader"]


async def test_an_event_stream_may_be_silent_for_as_long_as_its_client_waits() -> None:
    """39: a reasoning model says nothing for minutes, and its client pays for the answer."""
    events = STREAM.replace(b"OK\r\n", b"OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n")
    async with (
        ScriptedUpstream(lambda _: [events, Ending.HOLD]) as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        await client.reader.readuntil(b"abc\r\n")
        await pass_time(2 * LONG_ENOUGH)
        assert stage.gateway.drain.inflight == 1
        client.reset()
        await eventually(lambda: upstream.open_connections == 0)
        assert stage.engine.executions == [AttemptEnd.DONE]


async def test_a_stream_that_falls_silent_is_cut() -> None:
    """39: an answer without progress is the upstream's fault: cut, told, never whole."""
    async with (
        ScriptedUpstream(lambda _: [STREAM, Ending.HOLD]) as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
    ):
        async with stage.client() as client:
            await client.send(GET)
            came = await client.reader.readuntil(b"abc\r\n")
            assert await client.rest_in(LONG_ENOUGH) == b""
        assert came.endswith(b"3\r\nabc\r\n")
        assert stage.observer.of("upstream_failed") == ["idle_timeout"]
        assert stage.observer.of("closed") == []
        assert stage.engine.executions == [AttemptEnd.FAILED]


async def test_an_upstream_may_think() -> None:
    """39: until the first byte of the answer there is no limit but the one that is set."""
    async with (
        ScriptedUpstream(lambda _: [LONG_ENOUGH, OK]) as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
    ):
        assert await status_after(stage, GET, upstream) == 200


async def test_a_client_that_waits_for_its_100_is_not_slow() -> None:
    """39: until it is asked for its body, it is the upstream's turn."""
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with (
        ScriptedUpstream(lambda _: [LONG_ENOUGH, OK], early=True) as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
    ):
        assert await status_after(stage, request, upstream) == 200


async def test_an_upstream_that_thinks_too_long_is_a_504() -> None:
    """39: with a limit for the first byte, which a slow upload does not use up."""
    limits = Limits(first_byte_timeout=12.0)
    upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
    async with (
        ScriptedUpstream(lambda _: [Ending.HOLD]) as upstream,
        staged(upstream=upstream, limits=limits) as stage,
        stage.client() as client,
    ):
        for part in (upload, *[b"x"] * 6):
            await client.send(part)
            await client.delivered()
            await pass_time(LONG_ENOUGH / 4)
        assert stage.engine.executions == []
        await eventually(lambda: bool(upstream.requests) and upstream.requests[0].complete)
        await pass_time(LONG_ENOUGH)
        assert (await client.answer()).status == 504
        assert stage.observer.of("upstream_failed") == ["first_byte_timeout"]


async def test_an_upstream_that_takes_no_body_is_a_504() -> None:
    """39: an upload that the upstream does not take is its fault, not the client's."""
    async with (
        DeafUpstream() as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
        stage.client() as client,
    ):
        client.writer.write(UPLOAD + BLOCK * 400)
        await upstream.heard.wait()
        await full(stage)
        await pass_time(LONG_ENOUGH)
        assert (await client.answer()).status == 504
        assert stage.observer.of("upstream_failed") == ["idle_timeout"]
        client.reset()


async def test_a_tunnel_may_be_silent() -> None:
    """39: a WebSocket without traffic is no body without progress."""
    async with (
        TunnellingUpstream() as upstream,
        staged(upstream=upstream, limits=SHORT) as stage,
        stage.client() as client,
    ):
        await client.send(UPGRADE)
        assert (await client.answer()).status == 101
        await pass_time(LONG_ENOUGH)
        await client.send(b"bye")
        assert await client.rest() == b"BYE"


@pytest.mark.parametrize(
    ("head", "cut"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 2_000 + b"\r\n\r\n", 1_500),
        (b"GET /" + b"y" * 2_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 1_500),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20 + b"\r\n", 60),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000, 100),
    ],
    ids=["field", "target", "fields", "endless"],
)
async def test_too_large_a_head_is_a_431(head: bytes, cut: int) -> None:
    """39: too many bytes or fields, in one packet or two, before the end of the head or after."""
    limits = Limits(max_head_bytes=1_000, max_fields=10)
    async with ScriptedUpstream() as upstream, staged(upstream=upstream, limits=limits) as stage:
        assert statuses(await stage.talk(head)) == (431,)
        assert statuses(await stage.talk(head[:cut], head[cut:])) == (431,)
        assert upstream.untouched


async def test_bodies_that_are_read_share_bounded_memory() -> None:
    """39: what does not fit gets 503 before it is read; what was admitted is served to its end."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n"
    engine = ReadingEngine(limit=100_000)
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        memory = stage.gateway.memory
        memory.limit = 100_000
        async with stage.client() as first:
            await first.send(head, b"x" * 1_000)
            await eventually(lambda: memory.used == 90_000)
            refused = await stage.ask(head, b"x" * 5_000)
            assert refused.status == 503
            assert refused.values(b"retry-after") == [b"1"]
            assert upstream.untouched
            await first.send(b"x" * 89_000)
            assert (await first.answer()).status == 200
        assert (await stage.ask(head, b"x" * 90_000)).status == 200
        assert memory.used == 0
        assert stage.observer.of("finished")[0] == (Reason.OVERLOADED, 503)


async def test_a_chunked_body_counts_as_it_comes() -> None:
    """39: its length is unknown: the piece that does not fit ends it, before the decision."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    engine = ReadingEngine(limit=100_000)
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        stage.gateway.memory.limit = 50_000
        came = await stage.talk(head, *[b"3e8\r\n" + b"x" * 1_000 + b"\r\n"] * 60)
        assert statuses(came) == (503,)
        assert upstream.untouched
        assert engine.read == []
        assert stage.gateway.memory.used == 0


async def test_held_bodies_count_and_a_full_memory_refuses_new_ones() -> None:
    """39: bodies that wait for their decision; requests without a body are served."""
    engine = HeldEngine()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n"
    async with staged(engine) as stage:
        memory = stage.gateway.memory
        memory.limit = 50_000
        async with stage.client() as first, stage.client() as second:
            sending = asyncio.ensure_future(first.send(head, b"x" * 90_000))
            await eventually(lambda: memory.is_full)
            assert memory.used <= 90_000
            assert (await stage.ask(head, b"x" * 1_000)).status == 503
            await second.send(GET)
            await eventually(lambda: stage.gateway.drain.inflight == 2)
            engine.release.set()
            await sending
            assert (await first.answer()).status == 200
            assert (await second.answer()).status == 200
        assert memory.used == 0


async def test_a_product_that_reads_nothing_keeps_the_bodies_counted() -> None:
    """39: what it has not taken is in memory, and is counted until the stall ends the exchange.

    A client that resets its connection meanwhile is not noticed: its socket is not read.
    """
    async with DeafUpstream() as upstream, staged(upstream=upstream, limits=SHORT) as stage:
        memory = stage.gateway.memory
        async with stage.client() as client:
            client.writer.write(UPLOAD + BLOCK * 400)
            await eventually(lambda: memory.used > 0)
            await full(stage)
            client.reset()
        await pass_time(2 * LONG_ENOUGH, lambda: memory.used == 0)
        await eventually(lambda: memory.used == 0)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_tiny_chunks_cost_no_memory() -> None:
    """39: an upload of one-byte chunks is held no more than any other."""
    engine = HeldEngine()
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        async with stage.client() as client:
            sending = asyncio.ensure_future(client.send(UPLOAD, *[b"1\r\nx\r\n" * 1_000] * 300))
            await engine.asked.wait()
            await asyncio.sleep(0.2)
            assert held_by(stage) < 600_000
            engine.release.set()
            await sending
            await client.send(b"0\r\n\r\n")
            assert (await client.answer()).status == 200
        assert len(upstream.requests[0].body) == 300_000
