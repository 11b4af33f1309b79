"""Quart: its ASGI application is wrapped, as its own docs do it."""

from __future__ import annotations

from quart import Quart, ResponseReturnValue, request, websocket

from sidecar.middleware import QuotaMiddleware
from tests.doors.products.facts import counts, facts

app = Quart(__name__)
app.asgi_app = QuotaMiddleware(app.asgi_app)


@app.route("/api/v1/<name>", methods=["GET", "POST"])
@app.route("/free", methods=["GET"])
async def answer(name: str = "free") -> ResponseReturnValue:
    """Say what the handler saw."""
    body = await request.get_data(as_text=False)
    return facts(name, request.scope["state"]["quota"], request.headers.items(), body)


@app.route("/api/v1/fail", methods=["POST"])
async def fail() -> ResponseReturnValue:
    """Raise: Quart answers 500."""
    raise RuntimeError("the model is broken")


@app.websocket("/api/v1/ws")
async def talk() -> None:
    """Say who calls."""
    await websocket.send(websocket.scope["state"]["quota"].identity.org_id)


@app.route("/ran")
async def ran() -> ResponseReturnValue:
    """Say what has run."""
    return counts()
