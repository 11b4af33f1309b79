"""The product as a FastAPI application, with our middleware where BENCH_QUOTA is set."""

from __future__ import annotations

import os
from typing import Final

from fastapi import FastAPI, Request, Response

from sidecar.frontends.asgi_types import AsgiApp
from sidecar.middleware import QuotaMiddleware

_ANSWER: Final = b'{"answer": "' + b"a" * 1010 + b'"}'

app = FastAPI()


@app.post("/api/v1/chat")
async def chat(request: Request) -> Response:
    """Read the request, and answer 1 KB."""
    await request.body()
    return Response(_ANSWER, media_type="application/json")


served: AsgiApp = QuotaMiddleware(app) if os.environ.get("BENCH_QUOTA") else app
