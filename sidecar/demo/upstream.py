"""The demo product: an aiohttp server that answers as an AI product would and notes who called.

It enforces nothing and identifies no caller: it executes what the sidecar admits.
Its answers are bounded, so that no query makes it work without end.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256
from typing import Final
from uuid import uuid4

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from sidecar.demo import dialects, gemini, routes
from sidecar.demo.dialects import ANTHROPIC, OPENAI, Dialect
from sidecar.demo.executions import DEFAULT_KEPT, Execution, ExecutionLog, Progress
from sidecar.demo.routes import BadInput, ReadBody
from sidecar.domain.errors import SidecarError, UserError

KEPT_BODY: Final = 8 * 1024 * 1024  # bytes of a body a handler may look at; the rest is only hashed
MAX_EVENTS: Final = 10_000
_GEMINI: Final = "/{version:v1|v1beta}/models/{model}"
_GRACE: Final = 0.2  # seconds that running handlers get at close

__all__ = ["DemoUpstream", "Execution", "Progress"]


_Handler = Callable[[web.Request, ReadBody], Awaitable[web.StreamResponse]]


class DemoUpstream:
    """A product to put the sidecar in front of.

    `pace` is the pause between two events of a stream in seconds, where the query names none.
    `meter` puts a middleware into its application, and routes of its own before the others.
    """

    def __init__(
        self,
        *,
        pace: float = 0.0,
        kept: int = DEFAULT_KEPT,
        meter: Callable[[web.Application], None] | None = None,
    ) -> None:
        self._pace = pace
        self._meter = meter
        self._log = ExecutionLog(kept=kept)
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._url = ""

    @property
    def url(self) -> str:
        """The base URL it answers at, such as `http://127.0.0.1:8093`."""
        if not self._url:
            raise SidecarError("the demo upstream has no URL yet: await start() first")
        return self._url

    @property
    def executions(self) -> list[Execution]:
        """What it was called for, in the order the calls arrived."""
        return self._log.all()

    def forget(self) -> None:
        """Forget the executions so far."""
        self._log.forget()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 picks a free one. Raises UserError when the address cannot be had."""
        if self._runner is not None:
            raise SidecarError("the demo upstream is started twice: close() it in between")
        self._runner = web.AppRunner(
            self._application(),
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
        bound_host, bound_port = self._runner.addresses[0][:2]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        self._url = f"http://{shown}:{bound_port}"

    async def close(self) -> None:
        """Stop listening and end what is running; closing twice does nothing."""
        runner, self._runner, self._url = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application()
        if self._meter is not None:
            self._meter(app)
        table: list[tuple[str, str, _Handler]] = [
            ("POST", "/v1/chat/completions", self._speaking(OPENAI)),
            ("POST", "/api/v1/chat/completions", self._speaking(OPENAI)),
            ("POST", "/v1/messages", self._speaking(ANTHROPIC)),
            ("POST", "/api/v1/messages", self._speaking(ANTHROPIC)),
            ("POST", f"{_GEMINI}:generateContent", self._gemini),
            ("POST", f"{_GEMINI}:streamGenerateContent", partial(self._gemini, stream=True)),
            ("POST", "/api/v1/chat", routes.chat),
            ("POST", "/api/v1/complete", routes.complete),
            ("GET", "/api/v1/stream", self._events),
            ("GET", "/api/v1/ws", self._websocket),
            ("PUT", "/api/files/{name}", routes.file),
            ("GET", "/api/admin/x", routes.admin),
            ("*", "/api/slow", routes.slow),
            ("*", "/api/status/{code}", routes.status),
            ("GET", "/api/bytes/{n}", routes.octets),
            ("GET", "/api/trailers", routes.trailers),
            ("*", "/api/echo", routes.echo),
            ("*", "/api/echo/{rest:.*}", routes.echo),
            ("GET", "/health", routes.healthy),
            ("GET", "/ready", routes.healthy),
            ("*", "/{rest:.*}", routes.not_found),
        ]
        for method, path, handler in table:
            app.router.add_route(method, path, self._recorded(handler))
            if method == "GET":
                app.router.add_route("HEAD", path, self._recorded(handler))
        app.on_shutdown.append(self._close_sockets)
        return app

    def _recorded(
        self, handler: _Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Wrap a handler so that its execution is in the log from its head to its last byte."""

        async def run(request: web.Request) -> web.StreamResponse:
            serial = self._log.begin(request.method, request.raw_path, request.raw_headers)
            progress = Progress.ABORTED
            try:
                body = await self._read(request, serial)
                try:
                    response = await handler(request, body)
                except BadInput as error:
                    response = routes.json_answer({"error": str(error)}, status=error.status)
                # Done here and not by the server afterwards, to know that it was done.
                await response.prepare(request)
                await response.write_eof()
                progress = Progress.COMPLETED
            except ConnectionError:  # the client has left; the server notices too
                return web.Response()
            finally:
                self._log.end(serial, progress)
            return response

        return run

    async def _read(self, request: web.Request, serial: int) -> ReadBody:
        digest, length, kept = sha256(), 0, bytearray()
        try:
            async for piece in request.content.iter_any():
                digest.update(piece)
                length += len(piece)
                if length <= KEPT_BODY:
                    kept += piece
        finally:
            if length:
                self._log.body_read(serial, length, digest.hexdigest())
        whole = bytes(kept) if length <= KEPT_BODY else None
        return ReadBody(whole, length, digest.hexdigest())

    def _pause(self, request: web.Request) -> float:
        if "interval_ms" not in request.query:
            return self._pace
        return routes.number(request, "interval_ms", 0, most=routes.MAX_PAUSE_MS) / 1000

    def _speaking(self, dialect: Dialect) -> _Handler:
        async def answer(request: web.Request, body: ReadBody) -> web.StreamResponse:
            pause = self._pause(request)
            try:
                prompt = dialects.read_prompt(body.whole)
            except dialects.UnusableRequest as error:
                return routes.json_answer(dialect.error(str(error)), status=400)
            made = prompt, uuid4().hex, int(time.time())
            if prompt.stream:
                return await routes.stream(request, dialect.stream(*made), pause)
            return routes.json_answer(dialect.whole(*made))

        return answer

    async def _gemini(
        self, request: web.Request, body: ReadBody, *, stream: bool = False
    ) -> web.StreamResponse:
        pause = self._pause(request)
        try:
            prompt = gemini.read_gemini_prompt(request.match_info["model"], body.whole)
        except dialects.UnusableRequest as error:
            return routes.json_answer(gemini.gemini_error(str(error)), status=400)
        if not stream:
            return routes.json_answer(gemini.gemini_answer(prompt))
        events = request.query.get("alt") == "sse"
        kind = "text/event-stream" if events else "application/json"
        parts = gemini.gemini_stream(prompt, events=events)
        return await routes.stream(request, parts, pause, kind=kind)

    async def _events(self, request: web.Request, _body: ReadBody) -> web.StreamResponse:
        count = routes.number(request, "n", 5, most=MAX_EVENTS)
        events = (
            f"id: {index}\nevent: tick\ndata: ".encode()
            + orjson.dumps({"n": index, "of": count})
            + b"\n\n"
            for index in range(1, count + 1)
        )
        return await routes.stream(request, events, self._pause(request))

    async def _websocket(self, request: web.Request, _body: ReadBody) -> web.StreamResponse:
        """Echo each message in its own type; the subprotocol `echo` is spoken when offered."""
        socket = web.WebSocketResponse(protocols=("echo",))
        if not socket.can_prepare(request):
            return routes.json_answer({"error": "this path speaks websocket only"}, status=426)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(message.data)
                elif message.type is WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
        finally:
            self._sockets.discard(socket)
        if socket.close_code == WSCloseCode.ABNORMAL_CLOSURE:
            raise ConnectionResetError("the caller went away without a close frame")
        return socket

    async def _close_sockets(self, _app: web.Application) -> None:
        for socket in tuple(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the demo upstream is closing")
