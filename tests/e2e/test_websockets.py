"""WebSocket through the sidecar: a metered handshake, then a tunnel."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.e2e.harness import ORG, Stack, eventually, soon, stack

PATH = "/api/v1/ws"


def address(s: Stack) -> str:
    """Return the URL of the product's socket, through the sidecar."""
    return f"{s.url.replace('http:', 'ws:')}{PATH}"


async def test_the_tunnel_echoes() -> None:
    """One handshake costs one unit, whatever goes through the tunnel."""
    async with stack() as s:
        async with connect(
            address(s),
            additional_headers=s.cookie(),
            subprotocols=["echo"],  # type: ignore[list-item]
        ) as socket:
            assert socket.subprotocol == "echo"
            assert socket.response is not None
            assert socket.response.headers["RateLimit"].startswith('"ai_calls";r=24')
            for message in ("hello", "é" * 1000, b"\x00\xff" * 40_000):
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())
        assert (s.charges(), s.executions()) == (1, 1)
        done = await soon(lambda: s.upstream.executions, lambda all_: all_[0].completed)
        assert len(done) == 1
        page = await eventually(s.metrics, lambda page: page.sum("inflight_requests") == 0)
        assert page.sum("requests_total", code="101", reason="within_quota") == 1


async def test_over_quota_there_is_no_tunnel() -> None:
    """The handshake is refused with the refusal of any other call."""
    async with stack(orgs={ORG: 0}) as s:
        with pytest.raises(InvalidStatus) as caught:
            await connect(address(s), additional_headers=s.cookie())
        assert caught.value.response.status_code == 429
        assert b'"over_quota"' in caught.value.response.body
        assert s.executions() == 0


async def test_without_a_token_there_is_no_tunnel() -> None:
    """An anonymous handshake is refused."""
    async with stack() as s:
        with pytest.raises(InvalidStatus) as caught:
            await connect(address(s))
        assert caught.value.response.status_code == 401


async def test_a_client_that_vanishes_ends_its_tunnel() -> None:
    """A cut connection is cut on the other side too, at once."""
    async with stack() as s:
        socket = await connect(address(s), additional_headers=s.cookie())
        await socket.send("hello")
        assert await socket.recv() == "hello"
        socket.transport.abort()
        await soon(lambda: s.upstream.executions[0].progress, lambda word: word == "aborted")
        await eventually(s.metrics, lambda page: page.sum("inflight_requests") == 0)


async def test_a_product_that_ends_the_tunnel_is_heard() -> None:
    """When the product goes away, the client's side closes."""
    async with stack() as s, connect(address(s), additional_headers=s.cookie()) as socket:
        closing = asyncio.create_task(s.upstream.close())
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 1001
        await closing
