"""Too many, and the end: conformance families 41 and 42."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecar.domain.model import AttemptEnd, Reason
from sidecar.settings.sections import Limits
from tests.fakes.engines import AllowingEngine, HeldEngine
from tests.fakes.upstreams import OK, Ending, Received, ScriptedUpstream, Step
from tests.plane import eventually, staged, statuses

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
STREAM: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


async def test_over_the_cap_of_connections_is_a_503_at_once() -> None:
    """41: the one too many is told so before it asks, and a place that frees is given."""
    engine = AllowingEngine()
    async with staged(engine, limits=Limits(max_connections=2)) as stage:
        async with stage.client() as first, stage.client():
            assert statuses(await stage.talk()) == (503,)
            assert stage.observer.of("closed") == ["over_limit"]
            assert stage.observer.of("finished") == [(Reason.OVERLOADED, 503)]
            first.reset()
            await eventually(lambda: stage.server.open_connections == 1)
            assert (await stage.ask(GET)).status == 200
        assert len(engine.calls) == 1


async def test_over_the_cap_of_requests_is_a_503_at_once() -> None:
    """41: nobody is asked for a decision, and the connection goes on."""
    engine = HeldEngine()
    async with staged(engine, limits=Limits(max_inflight=1)) as stage:
        async with stage.client() as first, stage.client() as second:
            await first.send(GET)
            await engine.asked.wait()
            await second.send(GET)
            assert (await second.answer()).status == 503
            engine.release.set()
            assert (await first.answer()).status == 200
            await second.send(GET)
            assert (await second.answer()).status == 200
        assert stage.observer.of("finished")[0] == (Reason.OVERLOADED, 503)
        assert len(engine.calls) == 2


async def test_a_full_pool_is_a_503() -> None:
    """41: who gets no upstream connection in time is told so, and the units can be given back."""
    limits = Limits(upstream_connections=1, connect_timeout=0.2)
    async with (
        ScriptedUpstream(lambda _: [Ending.HOLD]) as upstream,
        staged(upstream=upstream, limits=limits) as stage,
        stage.client() as first,
    ):
        await first.send(GET)
        await eventually(lambda: len(upstream.requests) == 1)
        assert (await stage.ask(GET)).status == 503
        assert stage.engine.executions == [AttemptEnd.UNREACHED]
        assert stage.observer.of("upstream_failed") == ["pool_exhausted"]


async def test_streams_finish_while_the_server_drains() -> None:
    """42: open streams end whole, new requests are refused, idle connections are closed."""

    def steps(request: Received) -> list[Step]:
        return [STREAM, 0.3, b"0\r\n\r\n"]

    async with ScriptedUpstream(steps) as upstream, staged(upstream=upstream) as stage:

        async def stream() -> bytes:
            async with stage.client() as client:
                await client.send(GET)
                return (await client.answer()).body

        streams = [asyncio.ensure_future(stream()) for _ in range(20)]
        await eventually(lambda: len(upstream.requests) == 20)
        async with stage.client() as idle, stage.client() as late:
            await late.send(GET[:10])
            await eventually(lambda: any(each._buffer for each in stage.server._connections))
            draining = asyncio.ensure_future(stage.server.drain(5.0))
            assert await idle.rest() == b""
            await late.send(GET[10:])
            refused = await late.answer()
            assert (refused.status, refused.values(b"connection")) == (503, [b"close"])
        assert await asyncio.gather(*streams) == [b"abc"] * 20
        assert await draining is True
        assert (Reason.DRAINING, 503) in stage.observer.of("finished")


async def test_the_last_answer_of_a_draining_server_says_close() -> None:
    """42: a request whose answer had not begun is answered, and told that it was the last."""
    async with (
        ScriptedUpstream(lambda _: [0.2, OK]) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        await eventually(lambda: len(upstream.requests) == 1)
        draining = asyncio.ensure_future(stage.server.drain(5.0))
        await asyncio.sleep(0)
        answer = await client.answer()
        assert (answer.status, answer.values(b"connection")) == (200, [b"close"])
        assert await draining is True


async def test_what_outlasts_the_drain_is_cut() -> None:
    """42: after the grace, streams end without their last chunk, and each permit is settled."""
    async with (
        ScriptedUpstream(lambda _: [STREAM, Ending.HOLD]) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        await client.reader.readuntil(b"abc\r\n")
        assert await stage.server.drain(0.1) is False
        assert await client.rest() == b""
        assert stage.engine.executions == [AttemptEnd.DONE]
