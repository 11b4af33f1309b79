"""FastAPI, metered with two lines."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket

from sidecar.middleware import QuotaMiddleware
from tests.doors.products.facts import counts, facts

app = FastAPI()
app.add_middleware(QuotaMiddleware)


@app.api_route("/api/v1/fail", methods=["POST"])
async def fail() -> None:
    """Raise before an answer has begun."""
    raise RuntimeError("the model is broken")


@app.websocket("/api/v1/ws")
async def talk(socket: WebSocket) -> None:
    """Say who calls."""
    await socket.accept()
    await socket.send_text(socket.state.quota.identity.org_id)
    await socket.close()


@app.api_route("/api/v1/{name}", methods=["GET", "POST"])
async def answer(name: str, request: Request) -> dict[str, Any]:
    """Say what the handler saw."""
    body = await request.body()
    return facts(name, request.state.quota, request.headers.items(), body)


@app.get("/free")
async def free(request: Request) -> dict[str, Any]:
    """Say what a free handler saw."""
    return facts("free", request.state.quota, request.headers.items(), b"")


@app.get("/ran")
async def ran() -> Response:
    """Say what has run."""
    return Response(counts())
