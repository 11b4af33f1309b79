"""Calls at an aiohttp application that are settled by its answers, or by what its handler says."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Estimate, MissingCause, Terms, Tokens, Usage
from sidecar.frontends.aiohttp import AiohttpGuard
from tests.e2e.harness import eventually
from tests.fakes.doors import OneDoor, patient
from tests.fakes.engines import SettlingEngine
from tests.unit.admission.usage_rules import rule

Client = TestClient[web.Request, web.Application]
Clients = Callable[[web.Application], Awaitable[Client]]

TERMS = Terms(rule(request_usage=True), Estimate(0, None, None), 0, forgive=False)
SHADOW = dataclasses.replace(TERMS, shadow=True)
PATH = "/v1/chat/completions"
STREAM = b'{"stream":true,"messages":[]}'
ASKING = b'{"stream_options":{"include_usage":true},' + STREAM[1:]
DELTA = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
JSON = b'{"usage":{"prompt_tokens":7,"completion_tokens":3}}'
TOKENS = Tokens(7, 0, 0, 3)


class Product:
    """Handlers, each of which answers in another way; `body` is what the last one got."""

    def __init__(self) -> None:
        self.body = b""
        self.accepts = ""

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send events, and break off where that is asked for."""
        self.body = await request.read()
        self.accepts = request.headers.get("Accept-Encoding", "")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if "packed" in request.query:
            answer.enable_compression(web.ContentCoding.gzip)
        await answer.prepare(request)
        await answer.write(DELTA)
        if "break" in request.query:
            raise RuntimeError("the model broke")
        await answer.write(USAGE)
        return answer

    async def whole(self, request: web.Request) -> web.Response:
        """Send an answer in one piece."""
        answer = web.Response(body=JSON, status=int(request.query.get("status", 200)))
        if "packed" in request.query:
            answer.enable_compression(web.ContentCoding.deflate)
        return answer

    async def pieces(self, request: web.Request) -> web.Response:
        """Send an answer that aiohttp takes out of an iterator."""

        async def parts() -> AsyncIterator[bytes]:
            yield JSON[:9]
            yield JSON[9:]

        return web.Response(body=parts())

    async def raised(self, request: web.Request) -> web.Response:
        """Raise an answer."""
        raise web.HTTPAccepted(text=JSON.decode())

    async def fail(self, request: web.Request) -> web.Response:
        """Raise before an answer has begun."""
        raise RuntimeError("the model is broken")

    async def named(self, request: web.Request) -> web.Response:
        """Name the cost."""
        request["quota"].settle(int(request.query["units"]))
        return web.Response(body=JSON)

    async def talk(self, request: web.Request) -> web.WebSocketResponse:
        """Open a websocket, and close it."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        return socket

    def guarded(self, engine: SettlingEngine) -> web.Application:
        """Make the application with a guard before it."""
        app = web.Application()
        guard = AiohttpGuard(OneDoor(engine), patient(), trust_request_ids=False)
        app.middlewares.append(guard.middleware)
        app.on_response_prepare.append(guard.mark)
        app.router.add_post(PATH, self.stream)
        for name in ("whole", "pieces", "raised", "fail", "named", "talk"):
            app.router.add_get(f"/{name}", getattr(self, name))
        return app


@pytest.fixture
def product() -> Product:
    """Make a product of its own for each test."""
    return Product()


async def ended(engine: SettlingEngine) -> Usage | None:
    """Return what the one call was settled by, when its answer has gone."""

    async def calls() -> int:
        return len(engine.settled)

    await eventually(calls, lambda count: count == 1)
    return engine.usages[0]


async def test_a_stream_is_settled_part_by_part_and_its_extra_chunk_is_hidden(
    aiohttp_client: Clients, product: Product
) -> None:
    """Its client did not ask for it."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    answer = await client.post(PATH, data=STREAM)
    assert await answer.read() == DELTA
    assert (product.body, product.accepts) == (ASKING, "identity")
    usage = await ended(engine)
    assert usage is not None
    assert (usage.tokens, usage.missing, engine.executions) == (TOKENS, None, [AttemptEnd.DONE])


async def test_in_shadow_no_byte_changes(aiohttp_client: Clients, product: Product) -> None:
    """It is read all the same."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(SHADOW)))
    answer = await client.post(PATH, data=STREAM, headers={"Accept-Encoding": "gzip"})
    assert await answer.read() == DELTA + USAGE
    assert (product.body, product.accepts) == (STREAM, "gzip")
    usage = await ended(engine)
    assert usage is not None
    assert usage.tokens == TOKENS


@pytest.mark.parametrize("path", ["/whole", "/whole?packed", "/pieces", "/raised"])
async def test_every_kind_of_answer_is_read(
    aiohttp_client: Clients, product: Product, path: str
) -> None:
    """In one piece, compressed by aiohttp, out of an iterator, raised."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(SHADOW)))
    answer = await client.get(path, headers={"Accept-Encoding": "deflate"})
    assert await answer.read() == JSON
    usage = await ended(engine)
    assert usage is not None
    assert (usage.tokens, usage.missing) == (TOKENS, None)


async def test_a_stream_that_aiohttp_compresses_is_read_before_it_is(
    aiohttp_client: Clients, product: Product
) -> None:
    """The client gets it compressed."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(SHADOW)))
    answer = await client.post(f"{PATH}?packed", data=STREAM, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert await answer.read() == DELTA + USAGE
    usage = await ended(engine)
    assert usage is not None
    assert (usage.tokens, usage.missing) == (TOKENS, None)


async def test_a_stream_that_breaks_off_is_settled_by_what_was_sent(
    aiohttp_client: Clients, product: Product
) -> None:
    """A call that has begun to answer is never refunded."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    answer = await client.post(f"{PATH}?break", data=STREAM)
    with pytest.raises(ClientError):
        await answer.read()
    usage = await ended(engine)
    assert usage is not None
    assert (usage.missing, usage.text_bytes) == (MissingCause.CUT, 2)
    assert engine.executions == [AttemptEnd.DONE]


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/whole?status=404", AttemptEnd.DONE),
        ("/whole?status=503", AttemptEnd.FAILED),
        ("/fail", AttemptEnd.FAILED),
    ],
)
async def test_an_answer_of_another_status_costs_its_deposit(
    aiohttp_client: Clients, product: Product, path: str, end: AttemptEnd
) -> None:
    """Or less, where it is given back."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    await client.get(path)
    assert await ended(engine) is None
    assert engine.executions == [end]


async def test_a_websocket_costs_its_deposit(aiohttp_client: Clients, product: Product) -> None:
    """Its messages are not read."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    async with client.ws_connect("/talk") as socket:
        await socket.receive()
    assert await ended(engine) is None
    assert engine.executions == [AttemptEnd.DONE]


async def test_the_cost_that_the_handler_names_counts(
    aiohttp_client: Clients, product: Product
) -> None:
    """Whatever the answer says."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    await client.get("/named?units=4")
    usage = await ended(engine)
    assert usage is not None
    assert usage.units == 4


async def test_calls_on_one_connection_are_settled_each(
    aiohttp_client: Clients, product: Product
) -> None:
    """Nothing of one is left for the next."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    for _ in range(3):
        await (await client.get("/whole")).read()

    async def calls() -> int:
        return len(engine.settled)

    await eventually(calls, lambda count: count == 3)
    assert [usage and usage.tokens for usage in engine.usages] == [TOKENS] * 3


async def test_a_field_that_is_no_utf8_reaches_the_handler(
    aiohttp_client: Clients, product: Product
) -> None:
    """The request is made again for it, which aiohttp can with text alone."""
    client = await aiohttp_client(product.guarded(engine := SettlingEngine(TERMS)))
    assert client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /whole HTTP/1.1\r\nhost: a\r\nx-name: \xe9\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert await ended(engine) is not None
