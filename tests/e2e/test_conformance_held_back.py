"""Held back, and gone: conformance family 40."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from sidecar.domain.model import AttemptEnd
from tests.e2e.holding_back import full, go_on_reading, held_by, stop_reading
from tests.fakes.engines import HeldEngine
from tests.fakes.upstreams import (
    OK,
    DeafUpstream,
    Ending,
    EndlessUpstream,
    Received,
    ScriptedUpstream,
    Step,
    TunnellingUpstream,
)
from tests.loops import settle
from tests.plane import eventually, staged

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE: Final = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
BLOCK: Final = b"10000\r\n" + b"x" * 65536 + b"\r\n"
STREAM: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

FEW_MEGABYTES: Final = 16_000_000
"""What the kernel's buffers of two connections and ours can hold at most."""


async def test_a_slow_reader_stops_the_upstream() -> None:
    """40: of an endless answer the upstream can send only what the buffers hold."""
    async with (
        EndlessUpstream() as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET)
        stop_reading(client)
        await full(stage)
        sent = upstream.sent
        await settle()
        assert upstream.sent == sent < FEW_MEGABYTES
        assert held_by(stage) < 1_000_000
        go_on_reading(client)
        await client.reader.readexactly(sent)
        assert upstream.sent > sent
        client.reset()


async def test_a_slow_upstream_stops_the_client() -> None:
    """40: of an endless upload the client can send only what the buffers hold; then it goes on."""
    async with DeafUpstream() as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            sending = asyncio.ensure_future(client.send(UPLOAD, *[BLOCK] * 400, pause=0.0))
            await upstream.heard.wait()
            await full(stage)
            assert not sending.done()
            assert held_by(stage) < 1_000_000
            upstream.listen.set()
            await sending
            await client.send(b"0\r\n\r\n")
            assert (await client.answer()).status == 200
        assert sum(map(len, upstream.bytes)) > 400 * 65_536


async def test_a_tunnel_holds_back_both_ways() -> None:
    """40: in a tunnel too, who does not read stops who sends."""
    async with (
        TunnellingUpstream() as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(UPGRADE)
        await client.answer()
        stop_reading(client)
        block = b"x" * 65_536
        sending = asyncio.ensure_future(client.send(*[block] * 500, pause=0.0))
        await full(stage)
        assert not sending.done()
        assert held_by(stage) < 1_500_000
        go_on_reading(client)
        assert await client.reader.readexactly(500 * 65_536) == b"X" * (500 * 65_536)
        await sending
        client.reset()


async def test_a_connection_is_pooled_neither_paused_nor_with_leftovers() -> None:
    """40: after a slow reader's answer the same upstream connection serves the next request."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000

    def steps(request: Received) -> list[Step]:
        return [big if request.target == b"/big" else OK]

    async with (
        ScriptedUpstream(steps) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET.replace(b"/ ", b"/big "))
        stop_reading(client)
        await full(stage)
        go_on_reading(client)
        assert len((await client.answer()).body) == 8_000_000
        await client.send(GET)
        assert (await client.answer()).body == b"ok"
        assert len(upstream.bytes) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "steps", [[Ending.HOLD], [STREAM, Ending.HOLD]], ids=["before the head", "after the head"]
)
async def test_a_client_that_goes_away_cancels_the_upstream(steps: list[Step], how: str) -> None:
    """40: whether it says goodbye or not, and whether the answer has begun or not."""
    async with ScriptedUpstream(lambda _: steps) as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(GET)
            await eventually(lambda: len(upstream.requests) == 1)
            if how == "reset":
                client.reset()
        await eventually(lambda: upstream.open_connections == 0)
        assert stage.engine.executions == [AttemptEnd.DONE]
        assert stage.observer.of("closed") == []


async def test_a_client_that_goes_away_in_its_body_cancels_the_upstream() -> None:
    """40: half a request is never made to look whole."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
            await eventually(lambda: len(upstream.requests) == 1)
        await eventually(lambda: upstream.open_connections == 0)
        assert not upstream.requests[0].complete


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_goes_away_before_the_decision_reaches_nobody(how: str) -> None:
    """40: the engine is told by cancellation, and the upstream hears nothing."""
    engine = HeldEngine()
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        async with stage.client() as client:
            await client.send(GET)
            await engine.asked.wait()
            if how == "reset":
                client.reset()
        await eventually(lambda: engine.abandoned == 1)
        assert upstream.untouched


@pytest.mark.parametrize("end", ["client", "upstream"])
async def test_a_tunnel_ends_on_both_sides(end: str) -> None:
    """40: when one side of a tunnel closes, what it said arrives, and the other is closed."""
    async with TunnellingUpstream() as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(UPGRADE)
            await client.answer()
            await client.send(b"bye" if end == "upstream" else b"last words")
            if end == "upstream":
                assert await client.rest() == b"BYE"
        await eventually(lambda: upstream.open_connections == 0)
        assert upstream.bytes[0].endswith(b"bye" if end == "upstream" else b"last words")
        assert stage.engine.executions == [AttemptEnd.DONE]
