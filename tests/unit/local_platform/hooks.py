"""A product's webhook receiver, on a real socket, answering what a test tells it to."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Received:
    """One POST, as it came."""

    event: str
    signature: str
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed

    def is_signed_with(self, secret: str) -> bool:
        digest = hmac.new(secret.encode(), self.raw, hashlib.sha256).hexdigest()
        return self.signature == f"sha256={digest}"


class Receiver:
    """Keeps what it got; answers with `status`, once `gate` is open."""

    def __init__(self) -> None:
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.received: list[Received] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/hook"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def events(self) -> list[str]:
        return [each.event for each in self.received]

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append(
            Received(
                event=request.headers["X-Bizbasics-Event"],
                signature=request.headers["X-Bizbasics-Signature"],
                raw=await request.read(),
            )
        )
        await self.gate.wait()
        return web.Response(status=self.status, headers={"Location": "/hook"})
