"""The demo product as a FastAPI application with the middleware inside.

`uvicorn --factory sidecar.demo.fastapi_product:product`, with the settings in its environment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import generate_latest

from sidecar.demo.dialects import (
    ANTHROPIC,
    OPENAI,
    Dialect,
    UnusableRequest,
    read_prompt,
)
from sidecar.middleware import QuotaMiddleware

PACE: Final = 0.3
"""Seconds between two events of a stream."""


def product() -> FastAPI:
    """Make the application."""
    app = FastAPI()
    app.add_middleware(QuotaMiddleware)
    for path in ("/v1/chat/completions", "/api/v1/chat/completions"):
        app.post(path)(_speaking(OPENAI))
    for path in ("/v1/messages", "/api/v1/messages"):
        app.post(path)(_speaking(ANTHROPIC))
    app.post("/api/v1/chat")(_chat)
    app.post("/api/v1/report")(_report)
    app.get("/health")(_health)
    app.get("/metrics")(_metrics)
    return app


def _speaking(dialect: Dialect) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            prompt = read_prompt(await request.body())
        except UnusableRequest as error:
            return JSONResponse(dialect.error(str(error)), 400)
        made = prompt, uuid4().hex, int(time.time())
        if prompt.stream:
            return StreamingResponse(_paced(dialect.stream(*made)), media_type="text/event-stream")
        return JSONResponse(dialect.whole(*made))

    return answer


async def _chat(request: Request) -> dict[str, str]:
    return {"answer": f"Hello, {request.state.quota.identity.org_id}."}


async def _report(request: Request, pages: int = 1) -> dict[str, int]:
    request.state.quota.settle(pages)
    return {"pages": pages}


async def _health() -> dict[str, str]:
    return {"status": "ok"}


async def _metrics() -> Response:
    return Response(generate_latest(), media_type="text/plain")


async def _paced(events: Iterable[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event
        await asyncio.sleep(PACE)
