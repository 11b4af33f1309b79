"""The real `openai` SDK's realtime client through the sidecar: each response is charged."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from sidecar.app.wiring import App
from tests.e2e.harness import ORG, Stack, eventually, policy, soon, stack

COST = 30
"""Units of one response: 15 fresh, 5 cached, 10 of output; a token is a unit."""

USAGE = {
    "total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 0, "cached_tokens": 5},
}  # fmt: skip
TEXT = "four" * 100
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
HEARD = {"type": "tokens", "total_tokens": 17, "input_tokens": 13, "output_tokens": 4}


class Product:
    """Answers as the Realtime API does; `stalls`: a response does not end. Notes what it gets."""

    def __init__(self) -> None:
        self.stalls = False
        self.compressed = False
        self.kinds: list[str] = []
        self.connections: list[ServerConnection] = []
        self.url = ""

    async def serve(self, connection: ServerConnection) -> None:
        """Answer each response.create, and each committed buffer, as where the server listens."""
        self.connections.append(connection)
        self.compressed = bool(connection.protocol.extensions)
        await self._send(connection, "session.created", session={"model": "gpt-realtime"})
        async for message in connection:
            kind = json.loads(message)["type"]
            self.kinds.append(kind)
            if kind == "input_audio_buffer.append":
                await self._send(connection, TRANSCRIBED, transcript="yes", usage=HEARD)
            if kind in {"response.create", "input_audio_buffer.commit"}:
                await self._respond(connection, f"r{len(self.kinds)}")

    async def _respond(self, connection: ServerConnection, name: str) -> None:
        await self._send(connection, "response.created", response={"id": name})
        await self._send(connection, "response.output_text.delta", response_id=name, delta=TEXT)
        if not self.stalls:
            await self.end(connection, name)

    async def end(self, connection: ServerConnection, name: str) -> None:
        """End a response."""
        await self._send(
            connection,
            "response.done",
            response={"id": name, "usage": USAGE, "status": "completed"},
        )

    @staticmethod
    async def _send(connection: ServerConnection, kind: str, **fields: object) -> None:
        await connection.send(json.dumps({"type": kind, "event_id": "e", **fields}))


@contextlib.asynccontextmanager
async def metered(*, limit: int = 1000, **meter: object) -> AsyncIterator[tuple[Stack, Product]]:
    """Run a chain before a product of the Realtime API."""
    product = Product()
    route = {
        "name": "realtime",
        "match": {"path": "/v1/realtime"},
        "meter": {"usage": {"format": "openai_realtime", "per": 1}, **meter},
    }
    async with serve(product.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with stack(
            policy=policy(routes=[route]),
            orgs={ORG: limit},
            upstream_url=f"http://127.0.0.1:{port}",
        ) as s:
            yield s, product


@contextlib.asynccontextmanager
async def session(s: Stack) -> AsyncIterator[AsyncRealtimeConnection]:
    """Open a session whose API key is the org's token, and read its first event."""
    url = s.url.replace("http:", "ws:")
    async with (
        AsyncOpenAI(api_key=s.token(ORG), websocket_base_url=f"{url}/v1") as sdk,
        sdk.realtime.connect(
            model="gpt-realtime", websocket_connection_options={"compression": "deflate"}
        ) as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        yield connection


async def until(connection: AsyncRealtimeConnection, kind: str) -> None:
    """Read events up to one of a kind."""
    while (await asyncio.wait_for(connection.recv(), 10)).type != kind:
        pass


async def respond(s: Stack, connection: AsyncRealtimeConnection, *, charged: int) -> None:
    """Have one response, and wait until so many units are charged."""
    await connection.response.create()
    await until(connection, "response.done")
    await soon(s.charges, lambda found: found >= charged)
    assert s.charges() == charged


async def refused(connection: AsyncRealtimeConnection, code: str, *, close: int = 1008) -> None:
    """Read the error event and the close that follow a refusal."""
    event = await asyncio.wait_for(connection.recv(), 10)
    assert event.type == "error"
    assert event.error.code == code
    with pytest.raises(ConnectionClosedError) as closed:
        await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == close


async def at_rest(s: Stack) -> None:
    """Wait until the connection has ended, and nothing of it is held or owed."""
    await eventually(s.metrics, lambda page: page.sum("inflight_requests") == 0)
    page = await s.reported()
    assert page.sum("held_units") == 0


async def test_each_response_is_settled_until_the_quota_is_spent() -> None:
    """Then the API's own error event and a close of 1008; the product never gets the fourth."""
    async with metered(limit=3 * COST) as (s, product):
        async with session(s) as connection:
            for n in range(1, 4):
                await respond(s, connection, charged=n * COST)
            await connection.response.create()
            await refused(connection, "insufficient_quota")
        await at_rest(s)
        assert s.charges() == 3 * COST
        assert product.kinds == ["response.create"] * 3
        assert not product.compressed
        page = await s.metrics()
        assert page.sum("usage_tokens_total", kind="output") == 30
        assert page.sum("requests_total", route="realtime", reason="over_quota") == 1


async def test_transcripts_are_charged_beside_responses() -> None:
    """The handshake's deposit pays for the first; a session of nothing else pays what they cost."""
    async with metered() as (s, _):
        async with session(s) as connection:
            for n in (1, 2):
                await connection.input_audio_buffer.append(audio="AAAA")
                await until(connection, TRANSCRIBED)
                await soon(s.charges, lambda found, n=n: found >= n * 17)  # type: ignore[misc]
            await respond(s, connection, charged=2 * 17 + COST)
        await at_rest(s)
        assert s.charges() == 2 * 17 + COST


async def test_an_org_over_its_quota_gets_its_429_in_the_handshake() -> None:
    """No product is asked."""
    async with metered(limit=0) as (s, product):
        with pytest.raises(InvalidStatus) as caught:
            async with session(s):
                pass
        assert caught.value.response.status_code == 429
        assert not product.connections


async def test_a_client_that_is_lost_in_a_response_pays_for_the_text_that_it_got() -> None:
    """Its usage is missing, cut."""
    async with metered() as (s, product):
        product.stalls = True
        async with session(s) as connection:
            await connection.response.create()
            await until(connection, "response.output_text.delta")
        await soon(s.charges, lambda found: found >= len(TEXT) // 4)
        await at_rest(s)
        assert s.charges() == len(TEXT) // 4
        page = await s.metrics()
        assert page.by("usage_missing_total", "cause") == {"cut": 1}


async def test_a_response_that_the_server_starts_is_charged() -> None:
    """The first by the handshake's deposit, the second by one of its own."""
    async with metered() as (s, product):
        async with session(s) as connection:
            for n in (1, 2):
                await connection.input_audio_buffer.commit()
                await until(connection, "response.done")
                await soon(s.charges, lambda found, n=n: found >= n * COST)  # type: ignore[misc]
        await at_rest(s)
        assert s.charges() == 2 * COST
        assert product.kinds == ["input_audio_buffer.commit"] * 2


async def test_a_server_started_response_over_the_quota_ends_and_is_owed_whole() -> None:
    """Then the connection is closed; what the quota did not cover is overrun."""
    async with metered(limit=COST) as (s, product):
        async with session(s) as connection:
            await respond(s, connection, charged=COST)
            product.stalls = True
            await connection.input_audio_buffer.commit()
            await until(connection, "response.output_text.delta")
            await eventually(
                s.metrics, lambda page: page.sum("requests_total", reason="over_quota") == 1
            )
            await product.end(product.connections[0], "r2")
            await until(connection, "response.done")
            await refused(connection, "insufficient_quota")
        await at_rest(s)
        page = await s.metrics()
        assert page.sum("settled_units_total", outcome="overrun") == COST
        assert s.charges() == COST


async def test_a_connection_without_a_response_gives_its_deposit_back() -> None:
    """The next one is paid by it."""
    async with metered() as (s, _):
        for _ in range(3):
            async with session(s):
                pass
            await at_rest(s)
        assert s.charges() == 1


async def test_without_a_platform_no_response_passes_where_the_policy_closes() -> None:
    """The error says that it is not the quota. The deposit, once it is counted, is a credit."""
    async with metered(on_platform_error="fail_closed") as (s, product):
        async with session(s) as connection:
            await respond(s, connection, charged=COST)
            await s.fault(status=500)
            await connection.response.create()
            await refused(connection, "fail_closed", close=1011)
        await s.fault()
        await at_rest(s)
        assert s.charges() == COST + 1
        assert product.kinds == ["response.create"]


async def test_without_a_platform_responses_pass_where_the_policy_fails_open() -> None:
    """And are counted when it answers again."""
    async with metered(on_platform_error="fail_open") as (s, _):
        async with session(s) as connection:
            await respond(s, connection, charged=COST)
            await s.fault(status=500)
            await connection.response.create()
            await until(connection, "response.done")
            await s.fault()
            await soon(s.charges, lambda found: found >= 2 * COST)
        await at_rest(s)
        assert s.charges() == 2 * COST


async def test_in_shadow_nothing_is_refused_and_compression_stays() -> None:
    """What the quota does not cover is forgiven."""
    async with metered(limit=COST, enforcement="shadow") as (s, product):
        async with session(s) as connection:
            await respond(s, connection, charged=COST)
            await connection.response.create()
            await until(connection, "response.done")
        await at_rest(s)
        assert product.compressed
        page = await s.metrics()
        assert page.sum("usage_tokens_total", kind="output") == 20
        assert s.charges() == COST


async def test_a_drain_ends_a_connection_between_two_responses() -> None:
    """The one that runs ends first, and is settled before the process does."""
    async with metered() as (s, product):
        app = s.sidecars[0]
        assert isinstance(app, App)
        product.stalls = True
        async with session(s) as connection:
            await connection.response.create()
            await until(connection, "response.output_text.delta")
            stopping = asyncio.create_task(app.stop(10.0))
            await connection.response.create()
            await product.end(product.connections[0], "r1")
            await until(connection, "response.done")
            await refused(connection, "draining", close=1013)
        await asyncio.wait_for(stopping, 10)
        assert s.charges() == COST


async def test_a_drain_that_is_over_settles_what_runs_by_what_was_sent() -> None:
    """The connection is cut."""
    async with metered() as (s, product):
        app = s.sidecars[0]
        assert isinstance(app, App)
        product.stalls = True
        async with session(s) as connection:
            await connection.response.create()
            await until(connection, "response.output_text.delta")
            await app.stop(0.1)
            with pytest.raises(ConnectionClosed):
                await connection.recv()
        assert s.charges() == len(TEXT) // 4
