"""One HTTP/1.1 connection to a server: a request goes out, a handler gets the answer.

The connection carries one exchange at a time and goes back to its pool only when both messages
were whole, the server keeps the connection, and not one byte came that belongs to no request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from sidecar.http1.delivery import acknowledged, left_unread, sent, turned_away
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.framing import BodyFraming, UntilCloseBody, body_of
from sidecar.http1.lines import find_end
from sidecar.http1.response_heads import ResponseHead, parse_response
from sidecar.http1.tls import TlsTransport

_MAX_INTERIM: Final = 16
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_BYTES: Final = b"HTTP/1."
_NEVER: Final = float("inf")


class ResponseHandler(Protocol):
    """Who asked. After `on_head` comes at once `on_body` (maybe empty) or `on_end`.

    An answer that comes in one piece, as most do, is `on_whole` alone.

    `decode`: whether a chunked body is wanted as plain data; asked once, at the head.
    """

    decode: bool

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx other than 101 came."""

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """The final head came with all of its body; the connection is no longer the handler's."""

    def on_head(self, head: ResponseHead) -> None:
        """The final head came, or a 101: after that, the body is the tunnel."""

    def on_body(self, data: bytes) -> None:
        """A part of the body came, with chunk framing unless `decode`."""

    def on_end(self, data: bytes, body: BodyFraming) -> None:
        """The last part of the body came; the connection is no longer the handler's."""

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """No whole answer will come; the connection is no longer the handler's."""

    def on_writable(self, *, writable: bool) -> None:
        """The server's side is full, or has room again."""


# Not a subclass, nor is the client's connection: mypyc compiles plain classes alone as its own, and
# a forwarded request takes 17.2 us of Python for 18.4 so. Event loops ask for the methods alone.
class ClientConnection:
    """A connection, an `asyncio.Protocol`, owned by a pool through `released` and `lost`."""

    __slots__ = ("_acked_at_start", "_body", "_buffer", "_closed_in_order", "_full", "_handler",
                 "_head", "_interim", "_limits", "_lost", "_method", "_reading_paused", "_released",
                 "_sent", "_sent_before", "_tls", "deadline", "idle_since", "request_complete",
                 "transport", "used")  # fmt: skip

    def __init__(
        self,
        released: Callable[[ClientConnection], None],
        lost: Callable[[ClientConnection], None],
        *,
        max_head_bytes: int,
        max_fields: int,
    ) -> None:
        self._released = released
        self._lost = lost
        self._limits = (max_head_bytes, max_fields)
        self._handler: ResponseHandler | None = None
        self._method = ""
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._body: BodyFraming | None = None
        self._interim = 0
        self._sent = 0
        self._sent_before = 0
        self._acked_at_start: int | None = None
        self._closed_in_order = False
        self._full = False
        self._reading_paused = False
        self._tls: TlsTransport | None = None
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.request_complete = False
        self.used = False
        self.idle_since = 0.0
        self.deadline = _NEVER

    # what the owner does

    def start(self, handler: ResponseHandler, method: str, data: bytes, *, complete: bool) -> None:
        """Send the head of a request, and what there is of its body, as one write."""
        self._handler = handler
        self._method = method
        self._body = None
        self._head = None
        self._interim = 0
        self.request_complete = complete
        self.used = True
        self._sent_before = self._sent if self._tls is None else self._tls.sent
        self._sent += len(data)
        self.transport.write(data)

    # What acts on an exchange names its handler. Once that exchange has ended, the connection may
    # carry another one: a step of a former handler is left undone.

    def write(self, handler: ResponseHandler, data: bytes) -> None:
        """Send more of the body, or of the tunnel."""
        if self._handler is handler:
            self._sent += len(data)
            self.transport.write(data)

    def complete_request(self, handler: ResponseHandler) -> None:
        """Note that the whole request has been sent: the connection may be used again."""
        if self._handler is handler:
            self.request_complete = True

    def expire_after(self, handler: ResponseHandler, seconds: float) -> None:
        """End the exchange unless the head of the answer comes in time."""
        if self._handler is handler:
            self.deadline = asyncio.get_running_loop().time() + seconds

    def pause_reading(self, handler: ResponseHandler) -> None:
        """Read no more of the answer for now."""
        if self._handler is handler and not (self._reading_paused or self.transport.is_closing()):
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self, handler: ResponseHandler) -> None:
        """Read the answer again."""
        if self._handler is handler and self._reading_paused:
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def abort(self, handler: ResponseHandler) -> None:
        """Give the exchange up: the handler gets no more, and the connection ends at once."""
        if self._handler is handler:
            self._handler = None
            self.transport.abort()

    def leave(self, handler: ResponseHandler) -> None:
        """Give the exchange up, but send what was written: the end of a tunnel."""
        if self._handler is handler:
            self.close()

    def fail(self, handler: ResponseHandler, kind: PeerFailure) -> None:
        """End the exchange as failed; the handler is notified."""
        if self._handler is handler:
            self.expire(kind)

    # what the pool does

    def put_back(self) -> None:
        """Return a connection on which nothing was started."""
        self.deadline = _NEVER
        self._released(self)

    def cut_off(self) -> None:
        """End the connection because its pool goes away; an open exchange is notified."""
        self._fail(PeerFailure.CUT_OFF, "the connection was given up on our side")
        self.transport.abort()

    def expire(self, kind: PeerFailure) -> None:
        """End whatever exchange is open, or the connection as it closes: it took too long."""
        self._fail(kind, "the server took too long")
        self.transport.abort()

    def close(self) -> None:
        """Close a connection once what was written is out; its pool bounds that."""
        self._handler = None
        self.transport.close()

    def never_arrived(self) -> bool:
        """Say whether provably no byte of the request that failed has reached the server.

        False where there is no proof. After a reset only what never left is sure: a server may
        read, and reset before its kernel has acknowledged. After an orderly close the bytes must
        have been turned away, since a server may close one side and still read. To be asked while
        the handler is notified of the failure.
        """
        if not self._closed_in_order:
            left = sent(self.transport)
            return left is not None and left <= self._sent_before
        acked, at_start = acknowledged(self.transport), self._acked_at_start
        if acked is None or at_start is None or acked - at_start > self._sent_before:
            return False
        return turned_away(self.transport)

    # what the transport reports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        tls: TlsTransport | None = transport.get_extra_info("tls")
        self._tls = tls
        self._acked_at_start = acknowledged(transport) if tls is None else tls.acked_at_start

    def data_received(self, data: bytes) -> None:
        """Feed the open body, or the head that is awaited."""
        body = self._body
        handler = self._handler
        if handler is None:
            self.close()  # no request was sent: whatever follows would be read as an answer
            return
        try:
            if body is None:
                self._feed_head(data, handler)
            else:
                passed, rest = body.feed(data)
                if body.done:
                    self._end(clean=not rest)
                    handler.on_end(passed, body)
                else:
                    handler.on_body(passed)
        except ProtocolError as error:
            self._fail(PeerFailure.PROTOCOL, error.detail)

    def eof_received(self) -> None:
        """Complete a body that ends with the connection; the transport closes itself."""
        body = self._body
        handler = self._handler
        if handler is not None and isinstance(body, UntilCloseBody):
            self._end(clean=False)
            handler.on_end(b"", body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the handler, if there is one, that its answer is not whole.

        Where a write failed, the server may have answered before it closed: that is read first.
        """
        self._lost(self)  # first, so that the place is free whatever the handler does
        tls = self._tls
        self._closed_in_order = exc is None and (tls is None or tls.closed_in_order())
        if exc is not None and self._handler is not None:
            unread = left_unread(self.transport) if tls is None else tls.left_unread()
            if unread:
                self.data_received(unread)
        answered = self._body is not None or self._buffer or self._interim
        self._fail(
            PeerFailure.CUT_OFF if answered else PeerFailure.CLOSED_EARLY,
            "the server closed the connection" if exc is None else "the connection was reset",
        )

    def pause_writing(self) -> None:
        """Pass back-pressure on."""
        self._full = True
        if self._handler is not None:
            self._handler.on_writable(writable=False)

    def resume_writing(self) -> None:
        """Pass the end of back-pressure on."""
        self._full = False
        if self._handler is not None:
            self._handler.on_writable(writable=True)

    # inside

    def _feed_head(self, data: bytes, handler: ResponseHandler) -> None:
        searched = len(self._buffer)
        if searched:
            data = self._buffer + data
        max_bytes, max_fields = self._limits
        while True:
            end = data.find(b"\r\n\r\n") + 4 if not searched else 0
            if end < 4:
                end = find_end(data, searched)
            if end > max_bytes or (not end and len(data) > max_bytes):
                raise ProtocolError("the head of the answer is too large")
            if not end:
                if not data.startswith(_FIRST_BYTES[: len(data)]):
                    raise ProtocolError("this is not HTTP/1.1")
                self._buffer = data
                return
            head = parse_response(data[:end], self._method, max_fields)
            data = data[end:]
            searched = 0
            if head.status >= 200 or head.status == _SWITCHING_PROTOCOLS:
                break
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise ProtocolError("too many interim answers")
            handler.on_interim(head)
            if self._handler is not handler:
                return  # the handler gave the exchange up
        self._buffer = b""
        self.deadline = _NEVER
        self._head = head
        switching = head.status == _SWITCHING_PROTOCOLS
        if head.length == len(data) and not switching:
            self._end(clean=True)
            handler.on_whole(head, data)
            return
        decode = handler.decode
        body = UntilCloseBody() if switching else body_of(head.length, decode=decode)
        self._body = body
        handler.on_head(head)
        if self._handler is not handler:
            return  # the handler gave the exchange up at the sight of the head
        passed, rest = (b"", data) if body.done else body.feed(data)
        if body.done:
            self._end(clean=not rest)
            handler.on_end(passed, body)
        else:
            handler.on_body(passed)

    def _end(self, *, clean: bool) -> None:
        """End the exchange; `clean`: the answer ended by itself, and nothing follows it."""
        head = self._head
        reusable = (
            clean
            and head is not None
            and head.keep_alive
            and self.request_complete
            and not self._full  # the server has not even read the request that it answered
        )
        self._handler = None
        self._body = None
        self.deadline = _NEVER
        if reusable and not self.transport.is_closing():
            if self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()
            self._released(self)
        else:
            self.transport.close()

    def _fail(self, kind: PeerFailure, detail: str) -> None:
        handler = self._handler
        if handler is None:
            return
        self._handler = None
        self.deadline = _NEVER
        self.transport.abort()
        handler.on_failure(kind, detail)
