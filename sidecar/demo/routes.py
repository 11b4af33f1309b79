"""The demo product's own small API, and how it writes its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import orjson
from aiohttp import web

from sidecar.demo.dialects import DEFAULT_MODEL


def json_answer(data: object, *, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=orjson.dumps(data), status=status, content_type="application/json", charset="utf-8"
    )


async def stream(
    request: web.Request, events: Iterable[bytes], pause: float, *, kind: str = "text/event-stream"
) -> web.StreamResponse:
    """Answer with the parts of a stream, each written by itself, `pause` seconds apart."""
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = kind
    response.charset = "utf-8"
    await response.prepare(request)
    if request.method == "HEAD":  # the server would send what is written all the same
        return response
    for index, event in enumerate(events):
        if index:
            await asyncio.sleep(pause)
        await response.write(event)
    return response


async def chat(_request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer a question."""
    question = _field(body, "q", "message", "prompt")
    return json_answer({"answer": f"You said: {question}" if question else "Hello."})


async def complete(_request: web.Request, body: bytes) -> web.StreamResponse:
    """Go on from a prompt, with the model that was asked for."""
    model = _field(body, "model") or DEFAULT_MODEL
    return json_answer({"model": model, "text": f"{_field(body, 'prompt')} ... and so on."})


def _field(body: bytes, *names: str) -> str:
    """Return the first of the named members of a JSON object body; "" when there is none."""
    try:
        data = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(data, dict):
        return ""
    return next((str(data[name]) for name in names if name in data), "")


async def admin(_request: web.Request, _body: bytes) -> web.StreamResponse:
    """Show what a policy is to keep from the public."""
    return json_answer({"secret": "a policy should have kept you out"})


async def healthy(_request: web.Request, _body: bytes) -> web.StreamResponse:
    """Be up and ready."""
    return json_answer({"status": "ok"})


async def not_found(request: web.Request, _body: bytes) -> web.StreamResponse:
    """Answer what has no route."""
    return json_answer({"error": "no such route", "target": request.raw_path}, status=404)
