"""The guard of an ASGI application: who is let in, who is refused, and what leaves the scope."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.model import AttemptEnd, RequestIdOrigin
from sidecar.frontends.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from tests.fakes.doors import OneDoor, PlayedServer, body, http_scope, play
from tests.fakes.engines import AllowingEngine, FaultyEngine, ReadingEngine, RefusingEngine

DENIAL: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}


class Product:
    """Answers 200, and keeps the scope and the body that it was given."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.body = b""

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        self.scope = dict(scope)
        more = scope["type"] == "http"
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


async def test_an_allowed_call_reaches_the_application() -> None:
    """With its body, and the decision in the scope's state."""
    engine, product, server = AllowingEngine(), Product(), PlayedServer(*body(b"he", b"llo"))
    await play(product, engine, server)
    assert (server.status, product.body) == (200, b"hello")
    quota = product.scope["state"]["quota"]
    assert (quota.identity.org_id, quota.quota.remaining) == ("org_acme", 13)
    assert engine.executions == [AttemptEnd.DONE]


async def test_a_refused_call_never_reaches_it() -> None:
    """The refusal is the proxy's, names in lower case."""
    product, server = Product(), PlayedServer(*body(b""))
    doors = await play(product, RefusingEngine(), server, http_scope("/deny"))
    assert product.scope == {}
    assert server.status == 429
    assert server.fields[b"content-type"] == b"application/problem+json"
    assert int(server.fields[b"content-length"]) == len(server.sent[1]["body"])
    assert doors.one.drain.inflight == 0


async def test_a_refusal_of_head_has_no_body() -> None:
    """Its length is that of a GET's."""
    server = PlayedServer(*body(b""))
    await play(Product(), RefusingEngine(), server, http_scope("/deny", method="HEAD"))
    assert int(server.fields[b"content-length"]) > 0
    assert server.sent[1]["body"] == b""


async def test_a_fault_of_ours_allows_nothing() -> None:
    """It is a 500, and the application is not called."""
    product, server = Product(), PlayedServer(*body(b""))
    await play(product, FaultyEngine(), server, http_scope("/fault"))
    assert (server.status, product.scope) == (500, {})


@pytest.mark.parametrize("name", [b"x-bb-org-id", b"X-BB-Plan", b"x_bb_role", b"x.bb-user-id"])
async def test_a_forged_identity_leaves_the_scope(name: bytes) -> None:
    """In every spelling that a framework may take for ours."""
    product = Product()
    scope = http_scope(headers=[[name, b"evil"], [b"accept", b"*/*"]])
    await play(product, AllowingEngine(), PlayedServer(*body(b"")), scope)
    assert [field[0] for field in product.scope["headers"]] == [b"accept", b"x-request-id"]


@pytest.mark.parametrize(
    ("trusted", "origin"), [(False, RequestIdOrigin.CLIENT), (True, RequestIdOrigin.TRUSTED)]
)
async def test_a_request_id_is_believed_only_where_that_is_said(
    *, trusted: bool, origin: RequestIdOrigin
) -> None:
    """The peer of a scope may be forged."""
    engine = AllowingEngine()
    scope = http_scope(headers=[(b"x-request-id", b"mine")], client=("127.0.0.1", 1))
    await play(Product(), engine, PlayedServer(*body(b"")), scope, trust_request_ids=trusted)
    assert (engine.calls[0].request_id, engine.calls[0].request_id_origin) == ("mine", origin)


async def test_a_request_id_that_is_no_id_is_replaced() -> None:
    """What follows its grammar alone may be written in logs and headers."""
    engine, product = AllowingEngine(), Product()
    scope = http_scope(headers=[(b"x-request-id", b"two words")])
    await play(product, engine, PlayedServer(*body(b"")), scope)
    assert engine.calls[0].request_id_origin is RequestIdOrigin.GENERATED
    assert product.scope["headers"] == [(b"x-request-id", engine.calls[0].request_id.encode())]


async def test_a_body_that_was_read_for_the_amount_is_replayed() -> None:
    """In the same pieces."""
    engine, product = ReadingEngine(), Product()
    await play(product, engine, PlayedServer(*body(b"one", b"", b"two")))
    assert (engine.read, product.body) == ([b"onetwo"], b"onetwo")


async def test_a_client_that_leaves_before_the_decision_is_not_answered() -> None:
    """Nothing was charged; the attempt never began."""
    product, server = Product(), PlayedServer({"type": "http.disconnect"})
    doors = await play(product, ReadingEngine(), server)
    assert (product.scope, server.sent, doors.one.drain.inflight) == ({}, [], 0)


async def test_a_draining_door_refuses() -> None:
    """After its close there is no engine to ask."""
    product, server = Product(), PlayedServer(*body(b""))
    doors = await play(product, AllowingEngine(), server)
    doors.one.drain.begin()
    late = PlayedServer(*body(b""))
    await play(product, AllowingEngine(), late, doors=doors)
    assert (server.status, late.status) == (200, 503)


async def test_a_scope_of_an_unknown_type_is_not_let_through() -> None:
    """What cannot be decided on is no call that is free."""
    with pytest.raises(ValueError, match="'webtransport' cannot be metered"):
        await play(Product(), AllowingEngine(), PlayedServer(), {"type": "webtransport"})


async def test_a_websocket_is_refused_with_an_answer_where_the_server_can() -> None:
    """By the extension websocket.http.response."""
    server = PlayedServer({"type": "websocket.connect"})
    scope = http_scope("/deny", type="websocket", **DENIAL)
    await play(Product(), RefusingEngine(), server, scope)
    assert [message["type"] for message in server.sent] == [
        "websocket.http.response.start", "websocket.http.response.body",
    ]  # fmt: skip
    assert server.status == 429


async def test_a_websocket_is_closed_where_the_server_cannot() -> None:
    """The client gets 403 then, and the metrics say so."""
    server = PlayedServer({"type": "websocket.connect"})
    doors = await play(Product(), RefusingEngine(), server, http_scope("/deny", type="websocket"))
    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": "over_quota"}]
    assert doors.observer.of("finished") == [("over_quota", 403)]


async def test_a_scope_that_cannot_be_changed_gives_the_call_back() -> None:
    """The application never ran, so that the call costs nothing and holds up no drain."""
    engine, product = AllowingEngine(), Product()
    doors = OneDoor(engine)
    with pytest.raises(TypeError):
        await play(product, engine, PlayedServer(), http_scope(state=None), doors=doors)
    assert (product.scope, engine.executions) == ({}, [AttemptEnd.UNREACHED])
    assert doors.one.drain.inflight == 0
