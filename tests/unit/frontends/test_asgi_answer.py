"""How an attempt at an ASGI application ends, and how its answer is marked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.domain.model import AttemptEnd
from sidecar.frontends.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from tests.fakes.doors import PlayedServer, body, http_scope, play
from tests.fakes.engines import AllowingEngine, MarkingEngine

Script = list[Any]


def scripted(*steps: Any) -> Callable[[AsgiScope, AsgiReceive, AsgiSend], Any]:
    """Make an application that sends messages, raises exceptions, and receives for None."""

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        for step in steps:
            if step is None:
                await receive()
            elif isinstance(step, BaseException):
                raise step
            else:
                await send(dict(step))

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """Make the start of an answer."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


LAST = {"type": "http.response.body", "body": b"two"}
PART = {"type": "http.response.body", "body": b"one", "more_body": True}
ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
BROKEN = RuntimeError("the model is broken")
LEFT = {"type": "http.disconnect"}
DONE, FAILED = AttemptEnd.DONE, AttemptEnd.FAILED


@pytest.mark.parametrize(
    ("steps", "end", "code"),
    [
        ([start(), PART, LAST], DONE, 200),
        ([start(404), LAST], DONE, 404),
        ([start(503), LAST], FAILED, 503),
        ([start(), {"type": "http.response.pathsend", "path": "/x"}], DONE, 200),
        ([start(), LAST, BROKEN], DONE, 200),
        ([BROKEN], FAILED, 500),
        ([start(), PART, BROKEN], FAILED, 200),
        ([start(), PART], FAILED, 200),
        ([], FAILED, 500),
        ([None, BROKEN], DONE, 0),
        ([start(), PART, None, BROKEN], DONE, 200),
        ([asyncio.CancelledError()], DONE, 0),
    ],
)
async def test_an_attempt_ends_as_its_answer_does(
    steps: Script, end: AttemptEnd, code: int
) -> None:
    """An exception fails it, unless the answer was whole or the client had left."""
    engine = AllowingEngine()
    server = PlayedServer(LEFT)
    doors = None
    try:
        doors = await play(scripted(*steps), engine, server)
    except (RuntimeError, asyncio.CancelledError):
        assert isinstance(steps[-1], BaseException)
    assert engine.executions == [end]
    if doors is not None:
        assert doors.observer.of("finished")[-1][1] == code


@pytest.mark.parametrize(
    ("steps", "end", "code"),
    [
        ([ACCEPT, CLOSE], DONE, 101),
        ([ACCEPT], DONE, 101),
        ([ACCEPT, BROKEN], DONE, 101),
        ([CLOSE], DONE, 403),
        ([BROKEN], FAILED, 500),
        ([start(503) | {"type": "websocket.http.response.start"}], FAILED, 503),
    ],
)
async def test_a_websocket_is_done_once_it_is_accepted(
    steps: Script, end: AttemptEnd, code: int
) -> None:
    """What comes later is the stream's own matter."""
    engine = AllowingEngine()
    scope = http_scope(type="websocket")
    try:
        doors = await play(scripted(*steps), engine, PlayedServer(), scope)
    except RuntimeError:
        assert steps[-1] is BROKEN
    else:
        assert doors.observer.of("finished")[-1][1] == code
    assert engine.executions == [end]


async def test_an_attempt_ends_with_the_last_part_of_its_answer() -> None:
    """Not when the application returns: it may have work of its own afterwards."""
    engine = AllowingEngine()
    seen: list[int] = []

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await send(start())
        seen.append(len(engine.settled))
        await send(LAST)
        seen.append(len(engine.settled))

    await play(app, engine, PlayedServer())
    assert seen == [0, 1]


async def test_a_client_that_left_pays() -> None:
    """A server says so by an OSError of `send`: the product ran."""
    engine, server = AllowingEngine(), PlayedServer()
    server.gone = OSError("the client has left")
    with pytest.raises(OSError, match="has left"):
        await play(scripted(start(), LAST), engine, server)
    assert engine.executions == [DONE]


async def test_an_answer_carries_our_marks_alone() -> None:
    """Those of the application are taken out where ours say otherwise."""
    theirs = (b"X-Request-ID", b"theirs"), (b"RateLimit", b"theirs"), (b"vary", b"accept")
    server = PlayedServer()
    await play(scripted(start(200, *theirs), LAST), AllowingEngine(), server)
    names = [name for name, _ in server.sent[0]["headers"]]
    assert names == [b"vary", b"x-request-id", b"ratelimit-policy", b"ratelimit"]


async def test_a_marked_decision_leaves_the_applications_quota_fields() -> None:
    """Without a valid answer of the platform there are none of ours."""
    server = PlayedServer()
    await play(scripted(start(200, (b"ratelimit", b"theirs")), LAST), MarkingEngine(), server)
    assert server.fields[b"ratelimit"] == b"theirs"
    assert server.fields[b"x-quota-decision"] == b"fail_open"


async def test_every_part_passes_at_once() -> None:
    """Nothing waits for the next part."""
    server = PlayedServer(*body(b""))
    seen: list[int] = []

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await send(start())
        seen.append(len(server.sent))
        await send(PART)
        seen.append(len(server.sent))
        await send(LAST)

    await play(app, AllowingEngine(), server)
    assert seen == [1, 2]
