"""The guard of an aiohttp application: what passes, what is refused, how an attempt ends."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from sidecar.domain.model import AttemptEnd, RequestIdOrigin
from sidecar.frontends.aiohttp import AiohttpGuard
from tests.fakes.doors import OneDoor, patient
from tests.fakes.engines import AllowingEngine, FaultyEngine, ReadingEngine, RefusingEngine

Client = TestClient[web.Request, web.Application]
Clients = Callable[[web.Application], Awaitable[Client]]


async def echo(request: web.Request) -> web.Response:
    """Say what a handler sees."""
    return web.json_response(
        {
            "body": (await request.text()),
            "org": request["quota"].identity.org_id,
            "headers": [name.lower() for name in request.headers],
            "type": request.content_type,
        },
        headers={"RateLimit": "theirs", "Vary": "Accept"},
    )


async def pieces(request: web.Request) -> web.Response:
    """Read the body as a stream."""
    return web.Response(body=b"".join([piece async for piece in request.content.iter_any()]))


async def stream(request: web.Request) -> web.StreamResponse:
    """Send two parts, and break off between them where that is asked for."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"one")
    if "break" in request.query:
        raise RuntimeError("the model broke")
    await answer.write(b"two")
    return answer


async def fail(request: web.Request) -> web.Response:
    """Raise before an answer has begun."""
    raise RuntimeError("the model is broken")


async def gone(request: web.Request) -> web.Response:
    """Raise an answer."""
    raise web.HTTPGone


async def busy(request: web.Request) -> web.Response:
    """Answer 503."""
    return web.Response(status=503)


async def talk(request: web.Request) -> web.WebSocketResponse:
    """Echo one message."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(await socket.receive_str())
    return socket


def guarded(engine: AllowingEngine, **deadlines: float) -> web.Application:
    """Make an application with a sub-application behind one guard."""
    app, inner = web.Application(), web.Application()
    guard = AiohttpGuard(OneDoor(engine), patient(**deadlines), trust_request_ids=False)
    app.middlewares.append(guard.middleware)
    app.on_response_prepare.append(guard.mark)
    for where in (app, inner):
        where.router.add_post("/echo", echo)
    app.router.add_post("/deny", echo)
    app.router.add_post("/fault", echo)
    app.router.add_post("/pieces", pieces)
    app.router.add_get("/stream", stream)
    app.router.add_get("/fail", fail)
    app.router.add_get("/gone", gone)
    app.router.add_get("/busy", busy)
    app.router.add_get("/talk", talk)
    app.add_subapp("/inner", inner)
    return app


@pytest.mark.parametrize("path", ["/echo", "/inner/echo"])
async def test_an_allowed_call_reaches_its_handler(aiohttp_client: Clients, path: str) -> None:
    """Also one of a sub-application; its answer is marked, over marks of its own."""
    engine = AllowingEngine()
    client = await aiohttp_client(guarded(engine))
    forged = {"X-BB-Org-Id": "evil", "x_bb_plan": "evil", "X-Request-ID": "mine", "X_U": "9"}
    answer = await client.post(path, data=b"hello", headers=forged)
    said = await answer.json()
    assert (said["body"], said["org"]) == ("hello", "org_acme")
    assert [name for name in said["headers"] if "bb" in name] == []
    assert answer.headers.getall("RateLimit")[0].startswith('"ai_calls";r=13;t=')
    assert (answer.headers["X-Request-ID"], answer.headers["Vary"]) == ("mine", "Accept")
    assert len(answer.headers.getall("RateLimit")) == 1
    assert (engine.calls[0].path, engine.executions) == (path, [AttemptEnd.DONE])
    assert engine.calls[0].request_id_origin is RequestIdOrigin.CLIENT
    assert (b"x-u", b"9") in engine.calls[0].headers


async def test_a_refused_call_never_reaches_it(aiohttp_client: Clients) -> None:
    """The refusal is the proxy's."""
    client = await aiohttp_client(guarded(RefusingEngine()))
    answer = await client.post("/deny")
    assert (answer.status, answer.content_type) == (429, "application/problem+json")
    assert answer.headers["x-should-retry"] == "false"
    assert (await answer.json())["reason"] == "over_quota"


async def test_a_fault_of_ours_allows_nothing(aiohttp_client: Clients) -> None:
    """It is a 500."""
    client = await aiohttp_client(guarded(FaultyEngine()))
    assert (await client.post("/fault")).status == 500


@pytest.mark.parametrize("path", ["/echo", "/pieces"])
@pytest.mark.parametrize("headers", [{}, {"X-BB-Plan": "evil"}])
async def test_a_body_that_was_read_for_the_amount_is_there_again(
    aiohttp_client: Clients, path: str, headers: dict[str, str]
) -> None:
    """Whole or as a stream, and in a request whose headers were cleaned."""
    engine = ReadingEngine(1 << 20)
    client = await aiohttp_client(guarded(engine))
    data = b"x" * 300_000
    answer = await client.post(path, data=data, headers=headers)
    text = (await answer.json())["body"] if path == "/echo" else await answer.text()
    assert (engine.read, text) == ([data], data.decode())


async def test_a_compressed_body_is_priced_as_the_handler_gets_it(aiohttp_client: Clients) -> None:
    """The framework decodes it before; its coding is no longer true for us."""
    engine = ReadingEngine()
    client = await aiohttp_client(guarded(engine))
    headers = {"Content-Encoding": "gzip"}
    answer = await client.post("/echo", data=gzip.compress(b"{}"), headers=headers)
    assert (await answer.json())["body"] == "{}"
    assert engine.read == [b"{}"]
    assert b"content-encoding" not in dict(engine.calls[0].headers)


async def test_a_body_over_its_bound_is_refused(aiohttp_client: Clients) -> None:
    """Before a handler runs."""
    engine = ReadingEngine(10)
    client = await aiohttp_client(guarded(engine))
    assert (await client.post("/echo", data=b"x" * 11)).status == 413
    assert engine.permits == []


async def test_a_late_body_is_408(aiohttp_client: Clients) -> None:
    """The memory for it is not held for ever."""
    client = await aiohttp_client(guarded(ReadingEngine(), idle=0.05))

    async def late() -> object:
        yield b"half"
        await asyncio.sleep(5)

    assert (await client.post("/echo", data=late())).status == 408


@pytest.mark.parametrize(
    ("path", "status", "end"),
    [
        ("/stream", 200, AttemptEnd.DONE),
        ("/gone", 410, AttemptEnd.DONE),
        ("/nowhere", 404, AttemptEnd.DONE),
        ("/busy", 503, AttemptEnd.FAILED),
        ("/fail", 500, AttemptEnd.FAILED),
    ],
)
async def test_an_attempt_ends_as_its_answer_does(
    aiohttp_client: Clients, path: str, status: int, end: AttemptEnd
) -> None:
    """Every one of them is marked."""
    engine = AllowingEngine()
    client = await aiohttp_client(guarded(engine))
    answer = await client.get(path)
    assert (answer.status, engine.executions) == (status, [end])
    assert "X-Request-ID" in answer.headers


async def test_an_answer_that_breaks_off_has_failed(aiohttp_client: Clients) -> None:
    """As the proxy has it, where a product ends in the middle."""
    engine = AllowingEngine()
    client = await aiohttp_client(guarded(engine))
    answer = await client.get("/stream?break=1")
    assert answer.status == 200
    with pytest.raises(Exception, match="payload"):
        await answer.read()
    assert engine.executions == [AttemptEnd.FAILED]


async def test_a_websocket_is_marked_and_done_once_it_is_open(aiohttp_client: Clients) -> None:
    """Its 101 carries our fields."""
    engine = AllowingEngine()
    client = await aiohttp_client(guarded(engine))
    async with client.ws_connect("/talk") as socket:
        assert "RateLimit" in socket._response.headers
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
    assert engine.executions == [AttemptEnd.DONE]
