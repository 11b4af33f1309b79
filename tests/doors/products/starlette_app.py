"""Starlette, with everything that a door meets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sidecar.middleware import QuotaMiddleware
from tests.doors.products.facts import RAN, counts, facts

GO_ON = asyncio.Event()


async def answer(request: Request) -> Response:
    """Say what the handler saw."""
    name = request.path_params.get("name", "free")
    body = await request.body()
    quota = getattr(request.state, "quota", None)
    return JSONResponse(facts(name, quota, request.headers.items(), body))


async def fail(request: Request) -> Response:
    """Raise before an answer has begun."""
    RAN["fail"] += 1
    raise RuntimeError("the model is broken")


async def half(request: Request) -> Response:
    """Raise in the middle of an answer."""

    async def parts() -> AsyncIterator[str]:
        yield "one "
        raise RuntimeError("the model broke")

    RAN["half"] += 1
    return StreamingResponse(parts())


async def busy(request: Request) -> Response:
    """Answer 503."""
    RAN["busy"] += 1
    return PlainTextResponse("busy", 503)


async def stream(request: Request) -> Response:
    """Send an event, and the next one when a client says so on another connection."""

    async def parts() -> AsyncIterator[str]:
        yield "data: one\n\n"
        await GO_ON.wait()
        yield "data: two\n\n"

    RAN["stream"] += 1
    GO_ON.clear()
    return StreamingResponse(parts(), media_type="text/event-stream")


async def go_on(request: Request) -> Response:
    """Let the stream go on."""
    GO_ON.set()
    return PlainTextResponse("ok")


async def late(request: Request) -> Response:
    """Answer, and raise in a task after it."""

    async def after() -> None:
        raise RuntimeError("too late to matter")

    RAN["late"] += 1
    return PlainTextResponse("ok", background=BackgroundTask(after))


async def slow(request: Request) -> Response:
    """Answer once the client has left."""
    RAN["slow"] += 1
    await request.body()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    RAN["left"] += 1
    return PlainTextResponse("ok")


async def ran(request: Request) -> Response:
    """Say what has run."""
    return PlainTextResponse(counts())


async def talk(socket: WebSocket) -> None:
    """Echo until the client leaves."""
    RAN["ws"] += 1
    await socket.accept()
    await socket.send_text(socket.state.quota.identity.org_id)
    with contextlib.suppress(Exception):
        while True:
            await socket.send_text(await socket.receive_text())


async def metrics(request: Request) -> Response:
    """Show the default registry, as many products do."""
    return PlainTextResponse(generate_latest())


app = Starlette(
    routes=[
        Route("/api/v1/fail", fail, methods=["POST"]),
        Route("/api/v1/half", half, methods=["POST"]),
        Route("/api/v1/busy", busy, methods=["POST"]),
        Route("/api/v1/late", late, methods=["POST"]),
        Route("/api/v1/slow", slow, methods=["POST"]),
        Route("/api/v1/stream", stream),
        Route("/go-on", go_on),
        Route("/ran", ran),
        Route("/metrics", metrics),
        WebSocketRoute("/api/v1/ws", talk),
        Route("/api/v1/{name}", answer, methods=["GET", "POST"]),
        Route("/free", answer, methods=["GET", "POST"]),
    ]
)
app.add_middleware(QuotaMiddleware)
