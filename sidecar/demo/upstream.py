"""The demo product: an aiohttp server that answers as an AI product would.

It enforces nothing and identifies no caller: it executes what the sidecar admits.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from uuid import uuid4

from aiohttp import web

from sidecar.demo import dialects, gemini, routes
from sidecar.demo.dialects import ANTHROPIC, OPENAI, Dialect
from sidecar.domain.errors import SidecarError, UserError
from sidecar.settings.values import Address

MAX_BODY: Final = 8 * 1024 * 1024
_GEMINI: Final = "/{version:v1|v1beta}/models/{model}"
_GRACE: Final = 0.2  # seconds that running handlers get at close

Handler = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
"""Answers a request, whose body is given."""

DemoRoute = tuple[str, str, Handler]
"""A method, a path, and what answers it."""


class DemoUpstream:
    """A product to put the sidecar in front of.

    `pace` is the pause between two events of a stream in seconds.
    `meter` puts a middleware into its application, and routes of its own before the others.
    """

    def __init__(
        self,
        *,
        pace: float = 0.0,
        meter: Callable[[web.Application], None] | None = None,
    ) -> None:
        self._pace = pace
        self._meter = meter
        self._runner: web.AppRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The base URL it answers at, such as `http://127.0.0.1:8093`."""
        if not self._url:
            raise SidecarError("the demo upstream has no URL yet: await start() first")
        return self._url

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 picks a free one. Raises UserError when the address cannot be had."""
        if self._runner is not None:
            raise SidecarError("the demo upstream is started twice: close() it in between")
        self._runner = web.AppRunner(
            self.application(),
            access_log=None,
            auto_decompress=False,  # a body is compared byte for byte
            handle_signals=False,
            handler_cancellation=True,  # a caller that went away ends its execution at once
            keepalive_timeout=75.0,
            max_field_size=64 * 1024,
            max_line_size=64 * 1024,
            shutdown_timeout=_GRACE,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            raise UserError(
                f"{host}:{port}: the demo product cannot listen there:"
                f" {error.strerror}; name a port that is free"
            ) from error
        self._url = Address(*self._runner.addresses[0][:2]).url

    async def close(self) -> None:
        """Stop listening and end what is running; closing twice does nothing."""
        runner, self._runner, self._url = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    def application(self) -> web.Application:
        """Make the application that `start` serves."""
        app = web.Application(client_max_size=MAX_BODY)
        if self._meter is not None:
            self._meter(app)
        for method, path, handler in self.table():
            answer = partial(self.answer, handler=handler)
            app.router.add_route(method, path, answer)
            if method == "GET":
                app.router.add_route("HEAD", path, answer)
        return app

    def table(self) -> list[DemoRoute]:
        """Return every route; the first one that matches answers."""
        return [
            ("POST", "/v1/chat/completions", self._speaking(OPENAI)),
            ("POST", "/api/v1/chat/completions", self._speaking(OPENAI)),
            ("POST", "/v1/messages", self._speaking(ANTHROPIC)),
            ("POST", "/api/v1/messages", self._speaking(ANTHROPIC)),
            ("POST", f"{_GEMINI}:generateContent", self._gemini),
            ("POST", f"{_GEMINI}:streamGenerateContent", partial(self._gemini, stream=True)),
            ("POST", "/api/v1/chat", routes.chat),
            ("POST", "/api/v1/complete", routes.complete),
            ("GET", "/api/admin/x", routes.admin),
            ("GET", "/health", routes.healthy),
            ("GET", "/ready", routes.healthy),
            ("*", "/{rest:.*}", routes.not_found),
        ]

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request."""
        return await handler(request, await self.read(request))

    async def read(self, request: web.Request) -> bytes:
        """Read a request's body."""
        return await request.read()

    def pause(self, request: web.Request) -> float:  # noqa: ARG002 - a product may look at it
        """Return the seconds between two events of a stream."""
        return self._pace

    def _speaking(self, dialect: Dialect) -> Handler:
        async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
            try:
                prompt = dialects.read_prompt(body)
            except dialects.UnusableRequest as error:
                return routes.json_answer(dialect.error(str(error)), status=400)
            made = prompt, uuid4().hex, int(time.time())
            if prompt.stream:
                return await routes.stream(request, dialect.stream(*made), self.pause(request))
            return routes.json_answer(dialect.whole(*made))

        return answer

    async def _gemini(
        self, request: web.Request, body: bytes, *, stream: bool = False
    ) -> web.StreamResponse:
        try:
            prompt = gemini.read_gemini_prompt(request.match_info["model"], body)
        except dialects.UnusableRequest as error:
            return routes.json_answer(gemini.gemini_error(str(error)), status=400)
        if not stream:
            return routes.json_answer(gemini.gemini_answer(prompt))
        events = request.query.get("alt") == "sse"
        kind = "text/event-stream" if events else "application/json"
        parts = gemini.gemini_stream(prompt, events=events)
        return await routes.stream(request, parts, self.pause(request), kind=kind)
