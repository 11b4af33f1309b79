"""The admin port's HTTP/1.1: small requests without a body, one answer at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast

import orjson
from typing_extensions import override

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, RequestHead, parse_request
from sidecar.http1.lines import find_end

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
_REFUSES_BODY: Final = "nothing here reads a body: send none"
_REFUSES_CODING: Final = "nothing here reads a body, so none may be encoded: leave out the field"


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A request without a body; `fields` by lower-case name. `peer` is the socket's own."""

    method: str
    path: str
    query: str
    fields: Mapping[str, str]
    peer: object


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `fields` beside those that every answer has."""

    status: int
    body: bytes
    content_type: str = "application/json"
    fields: Mapping[str, str] = field(default_factory=dict)


def as_json(body: object, status: int = 200, fields: Mapping[str, str] | None = None) -> Answer:
    """Make an answer of plain data."""
    return Answer(status, orjson.dumps(body), fields=fields or {})


AdminHandler = Callable[[AdminRequest], Awaitable[Answer]]


class AdminConnections:
    """The open connections of one listener, bounded: a new one takes the place of an idle one."""

    def __init__(self, handler: AdminHandler) -> None:
        """Answer requests with `handler`, which does not raise."""
        self.handler = handler
        self.closing = False
        self._open: dict[AdminConnection, None] = {}
        self._empty = asyncio.Event()

    def __call__(self) -> AdminConnection:
        """Make the protocol of a new connection."""
        return AdminConnection(self)

    def opened(self, connection: AdminConnection) -> None:
        """Keep a connection; over the bound, close the one that has been idle longest."""
        if len(self._open) >= _MAX_CONNECTIONS:
            next((each for each in self._open if each.idle), connection).abort()
        self._open[connection] = None

    def used(self, connection: AdminConnection) -> None:
        """Note that a connection is not the one that has been idle longest."""
        self._open[connection] = self._open.pop(connection, None)

    def closed(self, connection: AdminConnection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        if not self._open:
            self._empty.set()

    async def close(self, seconds: float) -> None:
        """Close idle connections now and the others with their answer, or after `seconds`."""
        self.closing = True
        for connection in tuple(self._open):
            if connection.idle:
                connection.abort()
        self._empty.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._open:
                    await self._empty.wait()
        for connection in tuple(self._open):
            connection.abort()


class AdminConnection(asyncio.Protocol):
    """One connection. A request with a body is refused by its head, before the body is read."""

    def __init__(self, connections: AdminConnections) -> None:
        self._connections = connections
        self._transport = cast("asyncio.Transport", None)  # until it is connected
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._answering: asyncio.Task[None] | None = None
        self._blocked = False  # the client does not read
        self._paused = False
        self._ended = False  # the client sends no more
        self._discarding = False
        self._discarded = 0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self._answering is None and not self._blocked

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    # asyncio.Protocol

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        self._connections.opened(self)
        self._expire_in(_HEAD_SECONDS)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.closed(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._answering is not None:
            self._answering.cancel()

    @override
    def data_received(self, data: bytes) -> None:
        if self._discarding:
            self._discarded += len(data)
            if self._discarded > _MAX_DISCARDED:
                self.abort()
            return
        if not self._buffer and self.idle:
            self._expire_in(_HEAD_SECONDS)
        self._buffer += data
        self._next()

    @override
    def eof_received(self) -> bool:
        """Let an answer that is under way go out."""
        self._ended = True
        return not self.idle

    @override
    def pause_writing(self) -> None:
        self._blocked = True

    @override
    def resume_writing(self) -> None:
        self._blocked = False
        if not self._discarding and self._answering is None:
            self._rest()

    # inside

    def _next(self) -> None:
        """Begin with the next request, if it is all there and none is being answered."""
        if not self.idle or self._discarding:
            if len(self._buffer) > _MAX_HEAD and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            return
        try:
            head = self._take_head()
        except ProtocolError:
            _log.info("admin_bad_request", extra={"status": 400, "repeat_key": self._peer_host()})
            self._refuse(400, "not a request that this port understands")
            return
        if head is None:
            return
        if any(name == b"content-encoding" for name, _ in head.fields):
            self._refuse(415, _REFUSES_CODING)
        elif head.length == CHUNKED and self._buffer.startswith(_EMPTY_CHUNKED):
            self._buffer = self._buffer[len(_EMPTY_CHUNKED) :]
            self._begin(head)
        elif head.length:
            self._refuse(413, _REFUSES_BODY)
        else:
            self._begin(head)

    def _take_head(self) -> RequestHead | None:
        """Take a head from the buffer; None while it is not all there. Raises ProtocolError."""
        end = find_end(self._buffer, 0)
        if (end or len(self._buffer)) > _MAX_HEAD:
            raise ProtocolError("the head is too large")
        if not end:
            return None
        block, self._buffer = self._buffer[:end], self._buffer[end:]
        return parse_request(block, _MAX_FIELDS)

    def _begin(self, head: RequestHead) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._connections.used(self)
        self._answering = asyncio.ensure_future(self._answer(head))

    async def _answer(self, head: RequestHead) -> None:
        fields = {_text(name): _text(value) for name, value in head.fields}
        fields["host"] = _text(head.host or b"")
        path, _, query = _text(head.target).partition("?")
        request = AdminRequest(head.method, path, query, fields, self._peer())
        answer = await self._connections.handler(request)
        keep = head.keep_alive and not (self._ended or self._connections.closing)
        self._answering = None
        self._expire_in(_SEND_SECONDS)
        self._write(answer, keep=keep, body=head.method != "HEAD", minor=head.minor)
        if not keep:
            self._transport.close()  # what is written goes out before
        elif not self._blocked:
            self._rest()

    def _rest(self) -> None:
        """Wait for the next request, which may be there already."""
        self._expire_in(_HEAD_SECONDS if self._buffer else _IDLE_SECONDS)
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._next()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer, and close our side; what the client still sends is thrown away for a moment.

        Closing with unread bytes would reset the connection and destroy the answer on its way.
        """
        self._buffer = b""
        self._discarding = True
        self._write(as_json({"detail": detail}, status), keep=False, body=True, minor=1)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._expire_in(_LINGER_SECONDS)

    def _write(self, answer: Answer, *, keep: bool, body: bool, minor: int) -> None:
        fields = {
            "Server": "bb-sidecar",  # what answers, and no version of it
            "Date": formatdate(usegmt=True),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            **answer.fields,
        }
        if not keep:
            fields["Connection"] = "close"
        elif minor == 0:
            fields["Connection"] = "keep-alive"
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        start = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        self._transport.write(f"{start}{lines}\r\n".encode("latin-1"))
        if body:
            self._transport.write(answer.body)

    def _expire_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self.abort)

    def _peer(self) -> object:
        return self._transport.get_extra_info("peername")

    def _peer_host(self) -> str:
        peer = self._peer()
        return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _text(data: bytes) -> str:
    return data.decode("latin-1")
