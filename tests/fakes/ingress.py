"""The public name of a sidecar: passes requests on to wherever it listens, and remembers them."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

_KEPT = ("X-Bizbasics-Event", "X-Bizbasics-Signature", "Content-Type")


@dataclass(frozen=True, slots=True)
class Passed:
    """One request, and the status that it got."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int


class Ingress:
    """Has its URL before the sidecar has a port; `target` is the sidecar's URL, once it is known.

    Without a target it answers 503, as an ingress without an endpoint does.
    """

    def __init__(self) -> None:
        self.target = ""
        self.passed: list[Passed] = []
        self.url = ""
        self._runner = web.ServerRunner(web.Server(self._pass))

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _pass(self, request: web.BaseRequest) -> web.Response:
        if not self.target:
            return web.Response(status=503)
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        body = await request.read()
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method, self.target + request.path_qs, data=body, headers=headers
            ) as answer,
        ):
            self.passed.append(Passed(request.path_qs, headers, body, answer.status))
            return web.Response(status=answer.status, body=await answer.read())
