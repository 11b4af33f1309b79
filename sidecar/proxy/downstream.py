"""One connection from a client: heads are taken off it in order, one exchange at a time.

The exchange is a task of the gateway; the connection owns it, and ends it when the client leaves.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from sidecar.http1.delivery import reset_on_close, taken_so_far
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead, find_end, parse_request
from sidecar.proxy.inbound import InboundBody

if TYPE_CHECKING:
    from sidecar.proxy.relay import Relay
    from sidecar.proxy.server import Server

_NEVER: Final = float("inf")
_LINGER_SECONDS: Final = 1.0
_GONE_SECONDS: Final = 0.25
_WRITE_HIGH_WATER: Final = 64 * 1024
_FIRST_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class ServerConnection:
    """A client's connection, an `asyncio.Protocol`; `deadline` (loop time) is swept by the server.

    `moved`: the answer went on since the last sweep, which sets the deadline: no clock an event.
    `_deaf`: what still comes is thrown away. `_ended`: the client will send nothing more.
    `_behind`: the buffer begins with a part of the open body.
    """

    __slots__ = ("_behind", "_body_due", "_body_full", "_buffer", "_deaf", "_ended", "_reader",
                 "_reading", "_searched", "_server", "_taken", "_writing_paused", "answered",
                 "body", "deadline", "exchange", "moved", "peer", "relay", "transport", "trusted",
                 "tunnel")  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._searched = 0
        self._body_due = _NEVER
        self._behind = self._body_full = self._deaf = self._ended = False
        self._reading = True
        self._reader: asyncio.ReadTransport | None = None
        self._writing_paused = False
        self._taken = 0
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.peer = b""
        self.deadline = _NEVER
        self.trusted = self.moved = self.answered = False
        self.exchange: asyncio.Task[None] | None = None
        self.body: InboundBody | None = None
        self.relay: Relay | None = None
        self.tunnel: asyncio.WriteTransport | None = None

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
        if self._deaf or (self.tunnel is not None and self.tunnel.is_closing()):
            return
        if self.tunnel is not None:
            self.tunnel.write(data)
            return
        body = self.body
        if body is not None and not body.done and not self._behind:
            data = self._feed_body(body, data)
            if not data:
                return
        self._buffer = self._buffer + data if self._buffer else data
        if self.exchange is None and not self._writing_paused:
            self._next_head()
        elif len(self._buffer) > self._server.room:
            self._regulate()

    def eof_received(self) -> bool:
        """Take the end of the stream for the client going away, with a short grace.

        A half-closed client cannot be told from one that has left; whole requests get a moment
        to be answered, and another while the client takes what comes. A request or a tunnel cut
        in the middle ends at once.
        """
        if self.exchange is None:
            return False
        if self.tunnel is not None or (self.body is not None and not self.body.done):
            self.exchange.cancel()
            return False
        self._ended = True
        if not self._writing_paused:
            self._start_grace()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """End the exchange: the client is gone."""
        self._server.closed(self)
        if self.exchange is not None:
            self.exchange.cancel()
        if self.body is not None:  # a task that never ran does not end its exchange
            self.body.let_go()

    def pause_writing(self) -> None:
        """Stop reading the upstream: the client does not keep up."""
        self._writing_paused = True
        self._taken = taken_so_far(self.transport)
        if self._reader is not None and not self._reader.is_closing():
            self._reader.pause_reading()
        if self._ended:
            self.deadline = self._server.now() + self._server.patience
        elif self.exchange is not None:
            self.watch()

    def resume_writing(self) -> None:
        """Read the upstream again, or take the request that waited for the answers to go out."""
        self._writing_paused = False
        if self._reader is not None and not self._reader.is_closing():
            self._reader.resume_reading()
        if self._ended:
            self._start_grace()
        elif self.exchange is not None:
            self.watch()
        elif self._buffer and not self.transport.is_closing():
            self._next_head()
            self._regulate()

    def write(self, data: bytes) -> None:
        """Send a part of the answer, unless the client has gone and the exchange not yet heard."""
        self.answered = True
        if not self.transport.is_closing():
            self.transport.write(data)
        if self._writing_paused:
            self._taken = taken_so_far(self.transport)

    def write_interim(self, data: bytes) -> None:
        """Send a 1xx, which is no answer yet; the client may now be the one to go on."""
        if not self.transport.is_closing():
            self.transport.write(data)
        self.watch()

    def watch(self) -> None:
        """Give the bodies of this exchange time again: something moved, or has to."""
        if not self._deaf and not self._ended:
            self.deadline = min(self._server.now() + self._server.body_idle, self._body_due)

    def feeds_from(self, reader: asyncio.ReadTransport | None) -> None:
        """Name whose reading stops while the client does not keep up; None lets go of it."""
        before, self._reader = self._reader, reader
        if self._writing_paused:
            if before is not None and not before.is_closing():
                before.resume_reading()
            if reader is not None and not reader.is_closing():
                reader.pause_reading()

    def pause_body(self) -> None:
        """Read no more from the client for now."""
        self._body_full = True
        self._regulate()

    def resume_body(self) -> None:
        """Read from the client again."""
        if self._body_full:
            self._body_full = False
            self._regulate()
            self.watch()

    def open_tunnel(self, upstream: asyncio.WriteTransport) -> None:
        """From now on pass bytes to the upstream as they come, those that wait first."""
        self.tunnel = upstream
        if self._buffer:
            upstream.write(self._buffer)
            self._buffer = b""
        self._regulate()

    def end_exchange(self, *, keep: bool) -> None:
        """Take the next request, or close; called once, when the answer is written."""
        self.exchange = None
        self.relay = None
        self.moved = False
        self.feeds_from(None)
        body, self.body = self.body, None
        if body is not None:
            body.let_go()
        self.answered = False
        self._body_full = False
        server = self._server
        if self.transport.is_closing():
            self.deadline = server.now() + server.limits.idle_timeout  # for what is still unsent
            return
        if not keep or self._deaf:
            self._close_after(whole=body is None or body.done)
            return
        if not self._ended:
            self.deadline = server.now() + server.limits.idle_timeout
        if self._buffer and not self._writing_paused:
            self._next_head()
        if self._ended and self.exchange is None:
            self._close_after(whole=True)
        elif not self._reading:
            self._regulate()

    def abort(self) -> None:
        """Cut the connection, so that the client does not take what it has for a whole answer."""
        if self.relay is not None and self.relay.until_close:
            reset_on_close(self.transport)
        self.transport.abort()

    def expire(self) -> None:
        """Act on a deadline that has passed: find out whose turn it was."""
        self.deadline = _NEVER
        if self._writing_paused or (self._deaf and self.transport.get_write_buffer_size()):
            self._expect_reading()
        elif self._ended:
            if taken_so_far(self.transport) > self._taken:
                self._start_grace()
            else:
                self.abort()  # nobody was slow: most likely the client has left
        elif self._deaf:
            self._end("lingering")
        elif self.exchange is not None:
            self._expire_exchange()
        elif self._buffer:
            self._server.connection_closed("slow_head")
            self._refuse(ProtocolError("the head took too long to arrive", 408))
        else:
            self._end("idle")

    def turn_away(self) -> None:
        """Answer that there is no room, and close."""
        self._server.refuse_overloaded(self)
        self._close_after(whole=False)

    def drain(self) -> None:
        """Close at once if nothing is under way, after the answer if something is."""
        if self.relay is not None:
            self.relay.keep = False
        if self.exchange is None and not self._buffer and not self._deaf:
            self._close_after(whole=True)

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
        start = 2 if buffer.startswith(b"\r\n") else 0  # RFC 9112, 2.2: one empty line before
        first = buffer[start : start + 1]
        if first and first[0] not in _FIRST_BYTES and buffer != b"\r":
            raise ProtocolError("this is not HTTP/1.1")
        end = find_end(buffer, searched)
        if (end or len(buffer)) > limits.max_head_bytes:
            raise ProtocolError(f"the head is over {limits.max_head_bytes} bytes", 431)
        if not end:
            if not searched and not self._ended:
                self.deadline = self._server.now() + limits.head_timeout
            self._searched = len(buffer)
            return None
        self._searched = 0
        self._buffer = buffer[end:]
        return parse_request(buffer[start:end], limits.max_fields)

    def _start(self, head: RequestHead) -> None:
        if not self._ended:
            self.deadline = _NEVER
        self._body_due = _NEVER
        if head.length:
            body = InboundBody(
                self, head.length, self._server.memory, owes_continue=head.expects_continue
            )
            self.body = body
            if self._buffer:
                try:
                    self._buffer = self._fed(body, self._buffer)
                except ProtocolError as error:
                    body.let_go()
                    self._refuse(error)
                    return
            if not body.done:
                self._body_due = self._server.now() + self._server.request_timeout
                if not body.owes_continue:
                    self.watch()
        self.exchange = self._server.start_exchange(self, head)

    def _feed_body(self, body: InboundBody, data: bytes) -> bytes:
        """Feed the open body; return what follows it."""
        try:
            rest = self._fed(body, data)
        except ProtocolError as error:
            self._body_broke(body, error)
            return b""
        if body.done:  # now it is the upstream's turn, which has a limit of its own
            self._body_due = self.deadline = _NEVER
        if self.answered or not body.done:
            self.watch()
        return rest

    def _fed(self, body: InboundBody, data: bytes) -> bytes:
        """Feed the body; what is left of it waits for the loop's next iteration in the buffer."""
        rest = body.feed(data)
        if rest and not body.done:
            self._behind = True
            self._regulate()
            asyncio.get_running_loop().call_soon(self._catch_up)
        return rest

    def _catch_up(self) -> None:
        data, self._buffer, self._behind = self._buffer, b"", False
        if data and not self.transport.is_closing():
            self.data_received(data)
        self._regulate()

    def _body_broke(self, body: InboundBody, error: ProtocolError) -> None:
        """End the exchange with a 400: what follows cannot be told from a request."""
        self._deaf = True
        self.deadline = _NEVER
        body.fail(error)
        if self.relay is not None:
            self.relay.break_off(error)

    def _start_grace(self) -> None:
        """Give a client that has ended its side a moment to show that it is still there."""
        self._taken = taken_so_far(self.transport)
        self.deadline = self._server.now() + _GONE_SECONDS
        self._server.sweep_soon(_GONE_SECONDS)

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what never became a call, and close."""
        self._server.refuse_unparsed(self, error)
        self._close_after(whole=False)

    def _expire_exchange(self) -> None:
        body = self.body
        if body is None or body.done or self._body_full:
            if self.relay is not None:
                self.relay.time_out()
        elif self.answered:
            self._end("slow_body")
        else:
            self._server.connection_closed("slow_body")
            self._body_broke(body, ProtocolError("the body took too long to arrive", 408))

    def _expect_reading(self) -> None:
        """End a connection whose client took nothing since the last look; else look again."""
        before, self._taken = self._taken, taken_so_far(self.transport)
        if self._taken <= before:
            self._end("slow_reader")
        else:
            self.deadline = self._server.now() + self._server.patience

    def _end(self, cause: str) -> None:
        self._server.connection_closed(cause)
        self.abort()

    def _close_after(self, *, whole: bool) -> None:
        """Close once the answer is out; what the client still sends is thrown away.

        Closing with unread bytes would reset the connection and could destroy the answer on its
        way (RFC 9112, 9.6), so our side is closed first and the rest is read for a moment.
        """
        self._buffer = b""
        self._deaf = True
        self._taken = taken_so_far(self.transport)
        unsent = self.transport.get_write_buffer_size()
        self.deadline = self._server.now() + (self._server.patience if unsent else _LINGER_SECONDS)
        if whole or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._body_full = False
        self._regulate()
        self.transport.write_eof()

    def _regulate(self) -> None:
        """Read from the client exactly while there is room for what it sends."""
        wanted = not self._body_full and not self._behind and len(self._buffer) <= self._server.room
        if wanted is self._reading or self._ended or self.transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
