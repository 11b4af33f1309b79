"""Calls at an ASGI application that are settled by its answers, or by what its handler says."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Estimate, MissingCause, Terms, Tokens
from sidecar.frontends.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from sidecar.frontends.door import SettleError
from tests.fakes.doors import PlayedServer, body, http_scope, play
from tests.fakes.engines import AllowingEngine, SettlingEngine
from tests.unit.admission.usage_rules import rule

TERMS = Terms(rule(request_usage=True), Estimate(0, None, None), 0, forgive=False)
SHADOW = dataclasses.replace(TERMS, shadow=True)
PATH = "/v1/chat/completions"
STREAM = b'{"stream":true,"messages":[]}'
ASKING = b'{"stream_options":{"include_usage":true},' + STREAM[1:]
DELTA = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
JSON = b'{"usage":{"prompt_tokens":7,"completion_tokens":3}}'
EVENTS = [(b"content-type", b"text/event-stream")]
TOKENS = Tokens(7, 0, 0, 3)
UNSEEN: dict[str, Any] = {"http.response.pathsend": {}, "http.response.zerocopysend": {}}


class Product:
    """Reads the whole request, and sends parts; an exception among them is raised."""

    def __init__(
        self, *parts: bytes | BaseException, status: int = 200, fields: Any = EVENTS
    ) -> None:
        self.parts = parts
        self.head = {"type": "http.response.start", "status": status, "headers": list(fields)}
        self.scope: dict[str, Any] = {}
        self.body = b""

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        self.scope = dict(scope)
        more = True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send(dict(self.head))
        for part in self.parts:
            if isinstance(part, BaseException):
                raise part
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})


async def answered(
    product: Any, terms: Terms = TERMS, content: bytes = STREAM, **scope: Any
) -> tuple[SettlingEngine, PlayedServer]:
    """Send one call to a product."""
    engine, server = SettlingEngine(terms), PlayedServer(*body(content))
    fields = [(b"content-length", b"%d" % len(content)), (b"accept-encoding", b"gzip")]
    of = http_scope(PATH, **{"headers": fields, "extensions": {"tls": {}, **UNSEEN}, **scope})
    await play(product, engine, server, of)
    return engine, server


def sent(server: PlayedServer) -> list[bytes]:
    """Return the parts that the client got."""
    return [message.get("body", b"") for message in server.sent[1:]]


async def test_a_stream_is_settled_part_by_part_and_its_extra_chunk_is_hidden() -> None:
    """Its client did not ask for it; every other part passes as it came."""
    product = Product(DELTA, USAGE, DELTA)
    engine, server = await answered(product)
    assert sent(server) == [DELTA, DELTA, b""]
    (usage,) = engine.usages
    assert usage is not None
    assert (usage.tokens, usage.missing, engine.executions) == (TOKENS, None, [AttemptEnd.DONE])
    fields = dict(product.scope["headers"])
    assert (product.body, fields[b"content-length"]) == (ASKING, b"%d" % len(ASKING))


async def test_the_application_is_asked_for_an_answer_that_can_be_read() -> None:
    """Plain, and through `send`."""
    product = Product()
    await answered(product)
    assert dict(product.scope["headers"])[b"accept-encoding"] == b"identity"
    assert product.scope["extensions"] == {"tls": {}}


async def test_in_shadow_no_byte_changes() -> None:
    """It is read all the same."""
    product = Product(DELTA, USAGE)
    engine, server = await answered(product, SHADOW)
    assert (product.body, sent(server)) == (STREAM, [DELTA, USAGE, b""])
    assert dict(product.scope["headers"])[b"accept-encoding"] == b"gzip"
    assert engine.usages[0] is not None
    assert engine.usages[0].tokens == TOKENS


@pytest.mark.parametrize(
    "error", [RuntimeError("the model broke"), asyncio.CancelledError(), OSError("left")]
)
async def test_an_answer_that_breaks_off_is_settled_by_what_was_sent(error: BaseException) -> None:
    """A call that has begun to answer is never refunded."""
    engine, server = SettlingEngine(TERMS), PlayedServer(*body(STREAM))
    with pytest.raises(type(error)):
        await play(Product(DELTA, error), engine, server, http_scope(PATH))
    (usage,) = engine.usages
    assert usage is not None
    assert (usage.missing, usage.text_bytes) == (MissingCause.CUT, 2)
    assert engine.executions == [AttemptEnd.DONE]


async def test_an_application_that_raises_first_has_failed() -> None:
    """Its deposit may come back."""

    async def broken(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        raise RuntimeError("the model is broken")

    engine = SettlingEngine(TERMS)
    with pytest.raises(RuntimeError):
        await play(broken, engine, PlayedServer(*body(b"")))
    assert (engine.usages, engine.executions) == ([None], [AttemptEnd.FAILED])


async def test_what_a_middleware_inside_of_ours_compressed_is_read() -> None:
    """An application may compress though it was asked not to; in shadow it is not asked."""
    packed = gzip.compress(JSON)
    engine, server = await answered(Product(packed, fields=[(b"content-encoding", b"gzip")]))
    assert sent(server)[0] == packed
    assert engine.usages[0] is not None
    assert engine.usages[0].tokens == TOKENS


@pytest.mark.parametrize("terms", [TERMS, SHADOW])
async def test_the_gzip_middleware_of_starlette_may_stand_inside(terms: Terms) -> None:
    """It sends a plain answer where it was asked for one."""

    async def answer(request: Request) -> Response:
        return Response(JSON + b" " * 1000)

    app = Starlette(routes=[Route(PATH, answer, methods=["POST"])])
    app.add_middleware(GZipMiddleware, minimum_size=100)
    engine, server = await answered(app, terms)
    assert (server.fields.get(b"content-encoding") == b"gzip") is terms.shadow
    assert engine.usages[0] is not None
    assert engine.usages[0].tokens == TOKENS


def settling(*costs: Any, status: int = 200) -> Any:
    """Make an application that names its cost, each time before it sends a part."""

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        for cost in costs:
            scope["state"]["quota"].settle(cost)
            await send({"type": "http.response.body", "body": JSON, "more_body": True})
        await send({"type": "http.response.body"})

    return app


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_the_cost_that_the_handler_names_last_counts(status: int) -> None:
    """Whatever the answer says, and whatever its status is."""
    engine, _ = await answered(settling(5, 3, status=status))
    assert [usage and usage.units for usage in engine.usages] == [3]


async def test_a_cost_may_be_named_on_a_route_without_usage() -> None:
    """Where nothing is charged, none is taken."""
    engine = AllowingEngine()
    await play(settling(5), engine, PlayedServer(*body(b"")))
    assert engine.usages == [None]  # the permit of this engine has no charge


async def test_a_cost_after_the_end_is_an_error() -> None:
    """It names the value, and says what to do."""

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await settling(1)(scope, receive, send)
        scope["state"]["quota"].settle(2)

    with pytest.raises(SettleError, match=r"settle\(2\): the answer .* before the last part"):
        await answered(app)


async def test_a_websocket_may_name_its_cost_until_it_closes() -> None:
    """Its messages are the application's own to price."""

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "one"})
        scope["state"]["quota"].settle(12)
        await send({"type": "websocket.close"})

    engine = SettlingEngine(TERMS)
    await play(app, engine, PlayedServer(), http_scope(PATH, type="websocket"))
    assert [usage and usage.units for usage in engine.usages] == [12]
