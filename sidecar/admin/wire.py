"""The admin port's HTTP/1.1: small requests without a body, one answer at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

import orjson

from sidecar.answers.writer import JSON, NO_STORE, Fields, OwnAnswer, serialise
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, RequestHead, parse_request
from sidecar.http1.lines import find_end
from sidecar.http1.shared_lines import CLOSE, kept_for

_log = logging.getLogger("sidecar.admin")

_MAX_HEAD: Final = 8192
_MAX_FIELDS: Final = 100
_HEAD_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 60.0
_SEND_SECONDS: Final = 30.0
_LINGER_SECONDS: Final = 1.0
_MAX_DISCARDED: Final = 2 * 1024 * 1024
_MAX_CONNECTIONS: Final = 256
_EMPTY_CHUNKED: Final = b"0\r\n\r\n"
_KEPT: Final = kept_for(_IDLE_SECONDS)
_ALWAYS: Final = (
    (b"Server", b"bb-sidecar"),  # what answers, and no version of it
    (b"X-Content-Type-Options", b"nosniff"),
    NO_STORE,
)


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A request without a body; `fields` by lower-case name. `peer` is the socket's own."""

    method: str
    path: str
    query: str
    fields: Mapping[str, str]
    peer: object


def answer_of(body: bytes, status: int = 200, fields: Fields = (JSON,)) -> OwnAnswer:
    """Make an answer, which is never kept and names no version."""
    return OwnAnswer(status, (*_ALWAYS, *fields), body)


def as_json(body: object, status: int = 200, fields: Fields = ()) -> OwnAnswer:
    """Make an answer of plain data."""
    return answer_of(orjson.dumps(body), status, (JSON, *fields))


AdminHandler = Callable[[AdminRequest], Awaitable[OwnAnswer]]

_NOT_HTTP: Final = as_json({"detail": "not a request that this port understands"}, 400)
_NO_BODY: Final = as_json({"detail": "nothing here reads a body: send none"}, 413)
_NO_CODING: Final = as_json(
    {"detail": "nothing here reads a body, so none may be encoded: leave out the field"}, 415
)


class AdminConnections:
    """The open connections of one listener, bounded: a new one takes the place of an older one.

    That is the one that has been idle longest; where none is, the one whose request is the oldest:
    any pod may open as many as it likes, and leave its answers unread. A change goes on to its end.
    """

    def __init__(self, handler: AdminHandler) -> None:
        """Answer requests with `handler`, which does not raise."""
        self._handler = handler
        self._closing = False
        self._open: dict[_Connection, asyncio.Task[None]] = {}  # the last one used is last

    def __call__(self) -> asyncio.StreamReaderProtocol:
        """Make the protocol of a new connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(_MAX_HEAD), self._opened)

    async def close(self, seconds: float) -> None:
        """Close idle connections now and the others with their answer, or after `seconds`."""
        self._closing = True
        for connection, task in self._open.items():
            if connection.idle:
                task.cancel()
        if self._open:
            _, late = await asyncio.wait(tuple(self._open.values()), timeout=seconds)
            for task in late:
                task.cancel()

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection; over the bound, end the least useful one."""
        connection = _Connection(reader, writer)
        if len(self._open) >= _MAX_CONNECTIONS:
            least = self._least_useful()
            if least is None:
                connection.abort()
                return
            self._open.pop(least).cancel()
        task = asyncio.ensure_future(self._serve(connection))
        self._open[connection] = task
        task.add_done_callback(lambda _: self._ended(connection))  # also of one that never ran

    def _least_useful(self) -> _Connection | None:
        """Return the one to end; None where each has a change under way."""
        idle = (each for each in self._open if each.idle)
        asking = (each for each in self._open if not each.changing)
        return next(chain(idle, asking), None)

    def _ended(self, connection: _Connection) -> None:
        self._open.pop(connection, None)
        connection.abort()

    async def _serve(self, connection: _Connection) -> None:
        """Answer requests until either side ends the connection, or a deadline has passed."""
        seconds = _HEAD_SECONDS
        with contextlib.suppress(TimeoutError, ConnectionError):
            while head := await connection.next_request(seconds):
                if isinstance(head, OwnAnswer):
                    await connection.refuse(head)
                    return
                connection.idle = False
                connection.changing = head.method == "POST"
                self._open[connection] = self._open.pop(connection)
                answer = await self._handler(connection.request(head))
                connection.changing = False
                keep = head.keep_alive and not self._closing
                await connection.answer(answer, head, keep=keep)
                connection.idle = True
                if not keep:
                    return
                seconds = _IDLE_SECONDS
                await asyncio.sleep(0)  # the loop's other work comes between requests sent ahead


class _Connection:
    """One connection. A request with a body is refused by its head, before the body is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)  # `drain` waits for all bytes
        self._buffer = b""
        self._peer: object = writer.get_extra_info("peername")
        self.idle = True
        self.changing = False  # its request is one, which is not cut

    def abort(self) -> None:
        """End at once."""
        self._writer.transport.abort()

    async def next_request(self, seconds: float) -> RequestHead | OwnAnswer | None:
        """Return the next request, or its refusal; None where the client sends no more.

        It begins within `seconds`. Raises TimeoutError.
        """
        try:
            head = await self._next_head(seconds)
        except ProtocolError:
            host = str(self._peer[0]) if isinstance(self._peer, tuple) and self._peer else ""
            _log.info("admin_bad_request", extra={"status": 400, "repeat_key": host})
            return _NOT_HTTP
        if head is None:
            return None
        if any(name == b"content-encoding" for name, _ in head.fields):
            return _NO_CODING
        if head.length == CHUNKED and self._buffer.startswith(_EMPTY_CHUNKED):
            self._buffer = self._buffer[len(_EMPTY_CHUNKED) :]
        elif head.length:
            return _NO_BODY
        return head

    async def _next_head(self, seconds: float) -> RequestHead | None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_HEAD_SECONDS if self._buffer else seconds) as deadline:
            while not (end := find_end(self._buffer, 0)) and len(self._buffer) <= _MAX_HEAD:
                data = await self._reader.read(_MAX_HEAD)
                if not data:
                    return None
                if not self._buffer:
                    deadline.reschedule(loop.time() + _HEAD_SECONDS)
                self._buffer += data
        if (end or len(self._buffer)) > _MAX_HEAD:
            raise ProtocolError("the head is too large")
        block, self._buffer = self._buffer[:end], self._buffer[end:]
        return parse_request(block, _MAX_FIELDS)

    def request(self, head: RequestHead) -> AdminRequest:
        """Make of a head what the handler reads."""
        fields = {_text(name): _text(value) for name, value in head.fields}
        fields["host"] = _text(head.host or b"")
        path, _, query = _text(head.target).partition("?")
        return AdminRequest(head.method, path, query, fields, self._peer)

    async def answer(self, answer: OwnAnswer, head: RequestHead, *, keep: bool) -> None:
        """Send an answer, and wait until the client takes it. Raises TimeoutError."""
        self._write(answer, _KEPT if keep else CLOSE, bodiless=head.method == "HEAD")
        async with asyncio.timeout(_SEND_SECONDS):
            await self._writer.drain()

    async def refuse(self, answer: OwnAnswer) -> None:
        """Answer, and close our side; what the client still sends is thrown away for a moment.

        Closing with unread bytes would reset the connection and destroy the answer on its way.
        """
        self._write(answer, CLOSE)
        if self._writer.can_write_eof():
            self._writer.write_eof()
        left = _MAX_DISCARDED
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0 and (data := await self._reader.read(_MAX_HEAD)):
                left -= len(data)

    def _write(self, answer: OwnAnswer, connection: bytes, *, bodiless: bool = False) -> None:
        now = time.time()
        self._writer.write(serialise(answer, now=now, connection=connection, bodiless=bodiless))


def _text(data: bytes) -> str:
    return data.decode("latin-1")
