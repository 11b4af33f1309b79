"""Litestar, wrapped whole: its own middleware gets no lifespan."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response, WebSocket, get, route, websocket

from sidecar.middleware import QuotaMiddleware
from tests.doors.products.facts import counts, facts


@route("/api/v1/{name:str}", http_method=["GET", "POST"], status_code=200)
async def answer(name: str, request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Say what the handler saw."""
    body = await request.body()
    return facts(name, request.state.quota, request.headers.items(), body)


@route("/api/v1/fail", http_method=["POST"])
async def fail() -> None:
    """Raise before an answer has begun."""
    raise RuntimeError("the model is broken")


@websocket("/api/v1/ws")
async def talk(socket: WebSocket[Any, Any, Any]) -> None:
    """Say who calls."""
    await socket.accept()
    await socket.send_text(socket.state.quota.identity.org_id)
    await socket.close()


@get("/free")
async def free(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Say what a free handler saw."""
    return facts("free", request.state.quota, request.headers.items(), b"")


@get("/ran")
async def ran() -> Response[str]:
    """Say what has run."""
    return Response(counts())


app = QuotaMiddleware(Litestar([answer, fail, talk, free, ran], openapi_config=None))
