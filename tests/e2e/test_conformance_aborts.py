"""Clients that go away at every stage of an exchange (conformance 40)."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.fakes.upstreams import Received, ScriptedUpstream, Step
from tests.plane import eventually, staged

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
STREAM: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


async def test_a_thousand_aborts_leave_nothing_behind() -> None:
    """40: at every stage of an exchange; sockets, tasks and permits are counted at the end."""
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    def steps(request: Received) -> list[Step]:
        return [STREAM, 0.01, b"0\r\n\r\n"]

    async with ScriptedUpstream(steps) as upstream, staged(upstream=upstream) as stage:

        async def abort(number: int) -> None:
            async with stage.client() as client:
                await client.send(whole[: number % (len(whole) + 1)])
                await asyncio.sleep((number % 5) * 0.004)
                if number % 2:
                    client.reset()

        for start in range(0, 1_000, 50):
            await asyncio.gather(*(abort(start + number) for number in range(50)))
        await eventually(lambda: stage.server.open_connections == 0)
        await eventually(lambda: stage.gateway.drain.inflight == 0)
        assert stage.engine.settled_once()
        assert (await stage.ask(GET)).body == b"abc"
