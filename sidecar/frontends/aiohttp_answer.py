"""One admitted call at an aiohttp application: its answer on the way out, and the end of it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from sidecar.domain.model import AttemptEnd
from sidecar.frontends.door import Visit
from sidecar.frontends.long_parts import read_part
from sidecar.usage.settled_answer import SettledAnswer

_SWITCHING_PROTOCOLS: Final = 101
_FAULT: Final = 500
_CODING: Final = b"content-encoding"


class AiohttpAttempt:
    """An admitted call: marks its answer, and closes the attempt once.

    aiohttp sends the answer of a handler after the middlewares have returned. So a call that is
    settled by its answer ends with what its writer writes last, any other with its handler.
    """

    __slots__ = ("_ended", "_settled", "_task", "_visit", "status")

    def __init__(self, visit: Visit, request: web.Request) -> None:
        """Read what `request.writer` writes, where the call is settled by it."""
        self._visit = visit
        self._settled: _SettledWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self.status = 0
        """Of the answer, once that begins."""
        if visit.settled is not None:
            self._settled = _SettledWriter(self, visit, visit.settled, request.writer)

    def mark(self, response: web.StreamResponse) -> None:
        """Put our fields into the head of the answer, just before it is sent."""
        self.status = response.status
        if self._settled is not None:
            self._settled.begin(response)
        marks, dropped = self._visit.marks()
        for name in dropped:
            response.headers.popall(name.decode("ascii"), None)
        for name, value in marks:
            response.headers[name.decode("ascii")] = value.decode("ascii")

    def answered(self, response: web.StreamResponse, request: web.Request) -> None:
        """Take what the handler has returned, or raised as an answer."""
        if self._settled is None or self.status == _SWITCHING_PROTOCOLS:
            self._visit.end(response.status)
            return
        if self._ended:
            return
        # Where the client leaves before anything of the answer is written, nothing says so.
        self._task = request.task
        self._task.add_done_callback(self._lost)

    def failed(self, request: web.Request) -> None:
        """Close the attempt of a handler that has raised: failed, unless the client had left."""
        left = request.transport is None or request.transport.is_closing()
        if left or self.status == _SWITCHING_PROTOCOLS:
            self.end()
        else:
            self._visit.end(self.status or _FAULT, AttemptEnd.FAILED)

    def end(self) -> None:
        """Close the attempt as its answer has gone, or broken off; or its handler was cancelled."""
        self._ended = True
        if self._task is not None:
            self._task.remove_done_callback(self._lost)
            self._task = None
        self._visit.end(self.status)

    def _lost(self, _: asyncio.Task[None]) -> None:
        self._visit.end(self.status)


class _SettledWriter:
    """Stands before the public methods of one answer's writer, which all kinds of answers use.

    But a file that the kernel sends by itself is not seen.
    """

    __slots__ = ("_attempt", "_compress", "_compresses", "_settled", "_visit", "_write",
                 "_write_eof")  # fmt: skip

    def __init__(
        self,
        attempt: AiohttpAttempt,
        visit: Visit,
        settled: SettledAnswer,
        writer: AbstractStreamWriter,
    ) -> None:
        self._attempt = attempt
        self._visit = visit
        self._settled = settled
        self._write: Any = writer.write
        self._write_eof = writer.write_eof
        self._compress = writer.enable_compression
        self._compresses = False
        for name in ("write", "write_eof", "enable_compression"):
            setattr(writer, name, getattr(self, name))

    def begin(self, response: web.StreamResponse) -> None:
        """Take the head of the answer. What the writer compresses is read before that."""
        fields = [
            (name.lower().encode("latin-1"), value.encode("utf-8", "surrogateescape"))
            for name, value in response.headers.items()
        ]
        if self._compresses:
            fields = [field for field in fields if field[0] != _CODING]
        self._settled.began(response.status, fields)

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        """Let the writer compress what it is given."""
        self._compresses = True
        self._compress(encoding, strategy)

    async def write(self, chunk: bytes, **how: bool | int) -> None:
        try:
            passed = await read_part(self._visit, self._settled, bytes(chunk), last=False)
            if passed or not chunk:
                await self._write(passed, **how)
        except BaseException:
            self._attempt.end()
            raise

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Read the last part of the answer, pass it on, and close the attempt."""
        try:
            passed = await read_part(self._visit, self._settled, bytes(chunk), last=True)
            await self._write_eof(passed)
        finally:
            self._attempt.end()
