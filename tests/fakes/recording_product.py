"""The demo's product with a record of every execution, and with answers that only tests ask for.

Sizes, delays, statuses, trailers, an echo, numbered events and a websocket. All are bounded.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from typing_extensions import override

from sidecar.demo.routes import json_answer, stream
from sidecar.demo.upstream import MAX_BODY, DemoRoute, DemoUpstream, Handler
from tests.fakes.executions import DEFAULT_KEPT, Execution, ExecutionLog, Progress

MAX_EVENTS: Final = 10_000
MAX_PAUSE_MS: Final = 60_000
MAX_BYTES: Final = 1024 * 1024 * 1024
_BLOCK: Final = bytes(range(256)) * 256
_FILES: Final = "/api/files/"
_SERIAL: Final = web.RequestKey("serial", int)
_SEEN: Final = web.RequestKey("seen", dict[str, object])
"""Length and digest of the body."""


class BadInput(ValueError):  # noqa: N818 - it names the thing at fault, and becomes an answer
    """A number in the path or the query that the product cannot use."""


class RecordingProduct(DemoUpstream):
    """The demo's product, as tests put it behind a sidecar."""

    def __init__(self, *, pace: float = 0.0, kept: int = DEFAULT_KEPT) -> None:
        """Remember `kept` executions."""
        super().__init__(pace=pace)
        self._log = ExecutionLog(kept=kept)
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def executions(self) -> list[Execution]:
        """What it was called for, in the order the calls arrived."""
        return self._log.all()

    def forget(self) -> None:
        """Forget the executions so far."""
        self._log.forget()

    @override
    def application(self) -> web.Application:
        app = super().application()
        app.on_shutdown.append(self._close_sockets)
        return app

    @override
    def table(self) -> list[DemoRoute]:
        return [
            ("GET", "/api/v1/stream", self._events),
            ("GET", "/api/v1/ws", self._websocket),
            ("PUT", f"{_FILES}{{name}}", _file),
            ("*", "/api/slow", _slow),
            ("*", "/api/status/{code}", _status),
            ("GET", "/api/bytes/{n}", _octets),
            ("GET", "/api/trailers", _trailers),
            ("*", "/api/echo", _echo),
            ("*", "/api/echo/{rest:.*}", _echo),
            *super().table(),
        ]

    @override
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, with the execution in the log from its head to its last byte."""
        serial = self._log.begin(request.method, request.raw_path, request.raw_headers)
        request[_SERIAL] = serial
        progress = Progress.ABORTED
        try:
            try:
                response = await super().answer(request, handler)
            except BadInput as error:
                response = json_answer({"error": str(error)}, status=400)
            # Done here and not by the server afterwards, to know that it was done.
            await response.prepare(request)
            await response.write_eof()
            progress = Progress.COMPLETED
        except ConnectionError:  # the client has left; the server notices too
            return web.Response()
        finally:
            self._log.end(serial, progress)
        return response

    @override
    async def read(self, request: web.Request) -> bytes:
        """Read and note a body; one that is too long to keep is noted to its end."""
        digest, length, kept = sha256(), 0, bytearray()
        try:
            async for piece in request.content.iter_any():
                digest.update(piece)
                length += len(piece)
                if length <= MAX_BODY:
                    kept += piece
        finally:
            if length:
                self._log.body_read(request[_SERIAL], length, digest.hexdigest())
        request[_SEEN] = {"body_length": length, "body_sha256": digest.hexdigest()}
        if length > MAX_BODY and not request.path.startswith(_FILES):
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, length)
        return bytes(kept)

    @override
    def pause(self, request: web.Request) -> float:
        if "interval_ms" not in request.query:
            return super().pause(request)
        return number(request, "interval_ms", 0, most=MAX_PAUSE_MS) / 1000

    async def _events(self, request: web.Request, _body: bytes) -> web.StreamResponse:
        count = number(request, "n", 5, most=MAX_EVENTS)
        events = (
            f"id: {index}\nevent: tick\ndata: ".encode()
            + orjson.dumps({"n": index, "of": count})
            + b"\n\n"
            for index in range(1, count + 1)
        )
        return await stream(request, events, self.pause(request))

    async def _websocket(self, request: web.Request, _body: bytes) -> web.StreamResponse:
        """Echo each message in its own type; the subprotocol `echo` is spoken when offered."""
        socket = web.WebSocketResponse(protocols=("echo",))
        if not socket.can_prepare(request):
            return json_answer({"error": "this path speaks websocket only"}, status=426)
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
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the product is closing")


def number(request: web.Request, name: str, default: int, *, most: int) -> int:
    """Read a whole number of the path or the query, from 0 to `most`."""
    text = request.match_info.get(name) or request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        raise BadInput(f"{name}={text!r}: must be a whole number from 0 to {most}")
    if int(text) > most:
        raise BadInput(f"{name}={text}: must be at most {most}")
    return int(text)


async def _file(request: web.Request, _body: bytes) -> web.StreamResponse:
    """Take a file and answer its size; the file is not kept."""
    seen = request[_SEEN]
    return json_answer({"name": request.match_info["name"], **seen}, status=201)


async def _echo(request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer what came: method, raw target, header fields in order, body."""
    seen = request[_SEEN]
    return json_answer(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, value in request.raw_headers
            ],
            "body": body.decode("utf-8", "replace"),
            **seen,
        }
    )


async def _slow(request: web.Request, _body: bytes) -> web.StreamResponse:
    """Answer after `ms` milliseconds."""
    waited = number(request, "ms", 1000, most=MAX_PAUSE_MS)
    await asyncio.sleep(waited / 1000)
    return json_answer({"waited_ms": waited})


async def _status(request: web.Request, _body: bytes) -> web.StreamResponse:
    """Answer with the status that the path names."""
    code = number(request, "code", 200, most=599)
    if code < 200:  # RFC 9110, 15: below are no final answers
        raise BadInput(f"code={code}: must be from 200 to 599")
    if code in {204, 205, 304}:
        return web.Response(status=code)
    response = json_answer({"status": code}, status=code)
    if code in {301, 302, 303, 307, 308}:
        response.headers["Location"] = "/health"
    return response


async def _octets(request: web.Request, _body: bytes) -> web.StreamResponse:
    """Stream n bytes, 0 to 255 again and again; with `chunked=1` there is no Content-Length."""
    left = number(request, "n", 0, most=MAX_BYTES)
    response = web.StreamResponse()
    response.content_type = "application/octet-stream"
    if request.query.get("chunked") != "1":
        response.content_length = left
    await response.prepare(request)
    while left and request.method != "HEAD":
        block = _BLOCK[:left]
        await response.write(block)
        left -= len(block)
    return response


class _Trailers(web.StreamResponse):
    """An answer in chunks with trailers, which aiohttp cannot write: it goes out as it is here.

    One trailer is harmless; the other two, a length and an org, no proxy may take for headers.
    The connection closes behind it.
    """

    _TEXT: Final = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
        b"Trailer: X-Checksum\r\nConnection: close\r\n\r\n"
        b"6\r\nhello \r\n8\r\ntrailers\r\n"
        b"0\r\nX-Checksum: 42\r\nContent-Length: 5\r\nX-BB-Org-Id: org_forged\r\n\r\n"
    )
    _written = False

    @override
    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        if not self._written and request.transport is not None:
            self._written = True
            request.transport.write(self._TEXT)
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing: the end of the answer is in its text."""


async def _trailers(request: web.Request, _body: bytes) -> web.StreamResponse:
    """Answer in chunks, with trailers."""
    return web.Response() if request.method == "HEAD" else _Trailers()
