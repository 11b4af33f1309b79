"""One connection from a client: heads are taken off it in order, one exchange at a time.

The exchange is a task of the gateway; the connection owns it and ends it when the client goes
away. Bytes that follow the current request wait here, and past a bound the client is paused.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead, find_end, parse_request
from sidecar.proxy.inbound import InboundBody

if TYPE_CHECKING:
    from sidecar.proxy.relay import Relay
    from sidecar.proxy.server import Server

_NEVER: Final = float("inf")
_PIPELINE: Final = 64 * 1024
_LINGER_SECONDS: Final = 1.0
_GONE_SECONDS: Final = 0.25
_WRITE_HIGH_WATER: Final = 256 * 1024
_FIRST_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ\r")


class ServerConnection(asyncio.Protocol):
    """A client's connection; `deadline` (loop time) is swept by the server."""

    __slots__ = ("_buffer", "_lingering", "_paused", "_reader", "_searched", "_server",
                 "_writing_paused", "answered", "body", "deadline", "exchange", "peer", "relay",
                 "transport", "trusted", "tunnel")  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._searched = 0
        self._paused = False
        self._lingering = False
        self._reader: asyncio.ReadTransport | None = None
        self._writing_paused = False
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.peer = b""
        self.trusted = False
        self.deadline = _NEVER
        self.exchange: asyncio.Task[None] | None = None
        self.body: InboundBody | None = None
        self.relay: Relay | None = None
        self.answered = False
        self.tunnel: asyncio.WriteTransport | None = None

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who the peer is; refuse at once over the cap of connections."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        peer = transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        self.peer = host.encode("ascii")
        server = self._server
        self.trusted = server.is_trusted(host)
        self.deadline = server.now() + server.limits.head_timeout
        server.opened(self)

    def data_received(self, data: bytes) -> None:
        """Give the bytes to whom they belong: the tunnel, the open body, or the next head."""
        if self._lingering:
            return
        if self.tunnel is not None:
            self.tunnel.write(data)
            return
        body = self.body
        if body is not None and not body.done:
            data = self._feed_body(body, data)
            if not data:
                return
        self._buffer = self._buffer + data if self._buffer else data
        if self.exchange is None:
            self._next_head()
        elif len(self._buffer) > _PIPELINE:
            self._pause()

    def eof_received(self) -> bool:
        """Take the end of the stream for the client going away, with a short grace.

        A half-closed client cannot be told from one that has left; an answer that is under way
        gets a moment to finish, then the exchange ends.
        """
        if self.exchange is None or (self.body is not None and not self.body.done):
            return False
        if self.tunnel is not None:
            return False
        self.deadline = self._server.now() + _GONE_SECONDS
        self._server.sweep_soon(_GONE_SECONDS)
        self._lingering = True
        self._buffer = b""
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """End the exchange: the client is gone."""
        self._server.closed(self)
        self.deadline = _NEVER
        if self.exchange is not None:
            self.exchange.cancel()

    def pause_writing(self) -> None:
        """Stop reading the upstream: the client does not keep up."""
        self._writing_paused = True
        if self._reader is not None:
            self._reader.pause_reading()
        if self._server.body_idle is not None:
            self.deadline = self._server.now() + self._server.body_idle

    def resume_writing(self) -> None:
        """Read the upstream again."""
        self._writing_paused = False
        if self._reader is not None and not self._reader.is_closing():
            self._reader.resume_reading()
        self.deadline = _NEVER

    # what the exchange does

    def write(self, data: bytes) -> None:
        """Send a part of the answer."""
        self.answered = True
        self.transport.write(data)

    def feeds_from(self, reader: asyncio.ReadTransport | None) -> None:
        """Name whose reading stops while the client does not keep up; None lets go of it."""
        before, self._reader = self._reader, reader
        if self._writing_paused:
            if before is not None and not before.is_closing():
                before.resume_reading()
            if reader is not None:
                reader.pause_reading()

    def pause_body(self) -> None:
        """Read no more from the client for now."""
        self._pause()

    def resume_body(self) -> None:
        """Read from the client again."""
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def open_tunnel(self, upstream: asyncio.WriteTransport) -> None:
        """From now on pass bytes to the upstream as they come, those that wait first."""
        self.tunnel = upstream
        if self._buffer:
            upstream.write(self._buffer)
            self._buffer = b""
        self.resume_body()

    def end_exchange(self, *, keep: bool) -> None:
        """Take the next request, or close; called once, when the answer is written."""
        self.exchange = None
        self.relay = None
        self.feeds_from(None)
        body, self.body = self.body, None
        self.answered = False
        if self.transport.is_closing():
            return
        if not keep or self.tunnel is not None or self._lingering:
            self._close_after(whole=body is None or body.done)
            return
        self.deadline = self._server.now() + self._server.limits.idle_timeout
        self.resume_body()
        if self._buffer:
            self._next_head()

    def abort(self) -> None:
        """Cut the connection: the client must not take what it has for a whole answer."""
        self.transport.abort()

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        self.deadline = _NEVER
        cause = "idle"
        if self._lingering:
            cause = "lingering"
        elif self.exchange is not None:
            body = self.body
            if body is not None and not body.done and not self.answered:
                self._body_broke(body, ProtocolError("the body took too long to arrive", 408))
                self._server.connection_closed("slow_body")
                return
            cause = "slow_body" if body is not None and not body.done else "slow_reader"
        elif self._buffer:
            self._server.connection_closed("slow_head")
            self._refuse(ProtocolError("the head took too long to arrive", 408))
            return
        self._server.connection_closed(cause)
        self.transport.abort()

    def turn_away(self) -> None:
        """Answer that there is no room, and close."""
        self._server.refuse_overloaded(self)
        self._close_after(whole=False)

    def drain(self) -> None:
        """Close at once if nothing is under way: the server is going."""
        if self.exchange is None:
            self.transport.close()

    # inside

    def _next_head(self) -> None:
        try:
            head = self._take_head()
        except ProtocolError as error:
            self._refuse(error)
            return
        if head is not None:
            self._start(head)

    def _take_head(self) -> RequestHead | None:
        """Take one head off the buffer, or None when it is not all there."""
        buffer = self._buffer
        limits = self._server.limits
        searched = self._searched
        if not searched:
            if buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: an empty line before is ignored
                buffer = buffer[2:]
            if buffer and buffer[0] not in _FIRST_BYTES:
                raise ProtocolError("this is not HTTP/1.1")
        end = find_end(buffer, searched)
        if (end or len(buffer)) > limits.max_head_bytes:
            raise ProtocolError(f"the head is over {limits.max_head_bytes} bytes", 431)
        if not end:
            if not searched:
                self.deadline = self._server.now() + limits.head_timeout
            self._searched = len(buffer)
            self._buffer = buffer
            return None
        self._searched = 0
        self._buffer = buffer[end:]
        return parse_request(buffer[:end], limits.max_fields)

    def _start(self, head: RequestHead) -> None:
        self.deadline = _NEVER
        if head.length:
            body = InboundBody(self, head.length, owes_continue=head.expects_continue)
            self.body = body
            if self._buffer:
                try:
                    self._buffer = body.feed(self._buffer)
                except ProtocolError as error:
                    self._refuse(error)
                    return
            if not body.done and self._server.body_idle is not None:
                self.deadline = self._server.now() + self._server.body_idle
        self.exchange = self._server.start_exchange(self, head)

    def _feed_body(self, body: InboundBody, data: bytes) -> bytes:
        """Feed the open body; return what follows it."""
        try:
            rest = body.feed(data)
        except ProtocolError as error:
            self._body_broke(body, error)
            return b""
        if body.done:
            self.deadline = _NEVER
        elif self._server.body_idle is not None:
            self.deadline = self._server.now() + self._server.body_idle
        return rest

    def _body_broke(self, body: InboundBody, error: ProtocolError) -> None:
        """End the exchange with a 400: what follows cannot be told from a request."""
        self._lingering = True
        body.fail(error)
        if self.relay is not None:
            self.relay.break_off(error)

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what never became a call, and close."""
        self._server.refuse_unparsed(self, error)
        self._close_after(whole=False)

    def _close_after(self, *, whole: bool) -> None:
        """Close once the answer is out; what the client still sends is thrown away.

        Closing with unread bytes would reset the connection and could destroy the answer on its
        way (RFC 9112, 9.6), so our side is closed first and the rest is read for a moment.
        """
        self._buffer = b""
        if whole or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._lingering = True
        self.resume_body()
        self.transport.write_eof()
        self.deadline = self._server.now() + _LINGER_SECONDS

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()
