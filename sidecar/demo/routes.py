"""The demo product's answers that need no state: plain JSON, sizes, delays, statuses, trailers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from typing_extensions import override

from sidecar.demo.dialects import DEFAULT_MODEL

MAX_PAUSE_MS: Final = 60_000
MAX_BYTES: Final = 1024 * 1024 * 1024
_BLOCK: Final = bytes(range(256)) * 256


class BadInput(ValueError):  # noqa: N818 - it names the thing at fault, and becomes an answer
    """A number in the path or the query, or a body, that the product cannot use."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ReadBody:
    """A body that was read to its end; `kept` is None when it was too long to keep."""

    kept: bytes | None
    length: int
    sha256: str

    @property
    def whole(self) -> bytes:
        """The body itself; raises BadInput when it was too long to keep."""
        if self.kept is None:
            raise BadInput(f"a body of {self.length} bytes is more than is read here", status=413)
        return self.kept


def json_answer(data: object, *, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=orjson.dumps(data), status=status, content_type="application/json", charset="utf-8"
    )


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


async def chat(_request: web.Request, body: ReadBody) -> web.StreamResponse:
    """Answer a question of the demo's own small API."""
    question = _field(body, "q", "message", "prompt")
    return json_answer({"answer": f"You said: {question}" if question else "Hello."})


async def complete(_request: web.Request, body: ReadBody) -> web.StreamResponse:
    """Go on from a prompt, with the model that was asked for."""
    model = _field(body, "model") or DEFAULT_MODEL
    return json_answer({"model": model, "text": f"{_field(body, 'prompt')} ... and so on."})


def _field(body: ReadBody, *names: str) -> str:
    """Return the first of the named members of a JSON object body; "" when there is none."""
    try:
        data = orjson.loads(body.whole or b"{}")
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(data, dict):
        return ""
    return next((str(data[name]) for name in names if name in data), "")


async def file(request: web.Request, body: ReadBody) -> web.StreamResponse:
    """Take a file and answer its size; the file is not kept."""
    name = request.match_info["name"]
    return json_answer({"name": name, "size": body.length, "sha256": body.sha256}, status=201)


async def admin(_request: web.Request, _body: ReadBody) -> web.StreamResponse:
    """Show what a policy is to keep from the public."""
    return json_answer({"secret": "a policy should have kept you out"})


async def healthy(_request: web.Request, _body: ReadBody) -> web.StreamResponse:
    """Be up and ready."""
    return json_answer({"status": "ok"})


async def not_found(request: web.Request, _body: ReadBody) -> web.StreamResponse:
    """Answer what has no route."""
    return json_answer({"error": "no such route", "target": request.raw_path}, status=404)


async def slow(request: web.Request, _body: ReadBody) -> web.StreamResponse:
    """Answer after `ms` milliseconds."""
    waited = number(request, "ms", 1000, most=MAX_PAUSE_MS)
    await asyncio.sleep(waited / 1000)
    return json_answer({"waited_ms": waited})


async def status(request: web.Request, _body: ReadBody) -> web.StreamResponse:
    """Answer with the status that the path names."""
    code = number(request, "code", 200, most=599)
    if code < 200:  # noqa: PLR2004 - RFC 9110, 15: below are no final answers
        raise BadInput(f"code={code}: must be from 200 to 599")
    if code in {204, 205, 304}:
        return web.Response(status=code)
    response = json_answer({"status": code}, status=code)
    if code in {301, 302, 303, 307, 308}:
        response.headers["Location"] = "/health"
    return response


async def octets(request: web.Request, _body: ReadBody) -> web.StreamResponse:
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


async def trailers(request: web.Request, _body: ReadBody) -> web.StreamResponse:
    """Answer in chunks, with trailers."""
    return web.Response() if request.method == "HEAD" else _Trailers()


async def echo(request: web.Request, body: ReadBody) -> web.StreamResponse:
    """Tell what came: method, raw target, header fields in order, body."""
    return json_answer(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, value in request.raw_headers
            ],
            "body": body.whole.decode("utf-8", "replace"),
            "body_length": body.length,
            "body_sha256": body.sha256,
        }
    )
