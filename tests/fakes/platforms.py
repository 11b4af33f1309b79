"""Platforms that misbehave over HTTP as they are told, on real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: a status, a body (JSON unless it is text), more header fields, a wait before.

    `cut`: the connection ends in place of an answer.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cut: bool = False


class WaywardPlatform:
    """Gives the answers it was told, in order, and the last one for ever; remembers requests."""

    def __init__(self, *answers: Said) -> None:
        self._answers = list(answers)
        self._runner = web.ServerRunner(web.Server(self._answer))
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if said.seconds:
            await asyncio.sleep(said.seconds)
        if said.cut and request.transport is not None:
            request.transport.abort()
        if isinstance(said.body, str | bytes):
            body = said.body.encode() if isinstance(said.body, str) else said.body
            return web.Response(status=said.status, body=body, headers=said.headers)
        return web.json_response(said.body, status=said.status, headers=said.headers)
