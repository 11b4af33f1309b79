"""One connection from a client: heads are taken off it in order, one exchange at a time.

The connection knows bytes, deadlines and back-pressure; what a request means is its exchange's.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from sidecar.http1.delivery import reset_on_close, taken_so_far
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead, parse_request
from sidecar.http1.lines import find_end
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.listener import Listener
from sidecar.proxy.phases import STEPS, Phase, Step
from sidecar.proxy.ports import OpenExchange, TunnelEnd

_NEVER: Final = float("inf")
_LINGER_SECONDS: Final = 1.0
_GONE_SECONDS: Final = 0.25
_WRITE_HIGH_WATER: Final = 64 * 1024
_FIRST_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BETWEEN: Final = frozenset({Phase.IDLE, Phase.HEAD})
_DISCARDING: Final = frozenset({Phase.BROKEN, Phase.LINGERING, Phase.CLOSED})


class ServerConnection:
    """A client's connection, an `asyncio.Protocol`; `deadline` (loop time) is swept by the server.

    `moved`: the answer went on since the last sweep, which sets the deadline: no clock an event.
    `arriving`: the body that is still to come, and `body_full`: it has to wait. `ended`: the client
    will send nothing more. `writing_paused`: it does not take the answer as fast as it comes;
    `taken`: what it had taken at the last look.
    """

    __slots__ = ("_behind", "_body_due", "_buffer", "_outbox", "_reading",
                 "_searched", "_tunnel", "arriving", "body_full", "deadline", "ended", "exchange",
                 "listener", "moved", "peer", "phase", "taken", "transport", "trusted",
                 "writing_paused")  # fmt: skip

    def __init__(self, listener: Listener[ServerConnection]) -> None:
        self.listener = listener
        self._outbox = listener.outbox
        self._buffer = b""  # of the next head; with `_behind`, it begins with body
        self._searched = self.taken = 0
        self.arriving: InboundBody | None = None  # the one that is still arriving
        self._body_due = self.deadline = _NEVER
        self.body_full = self._behind = self.moved = self.writing_paused = self.trusted = False
        self.ended = False  # the client will send nothing more
        self._reading = True
        self._tunnel: TunnelEnd | None = None
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.phase = Phase.IDLE
        self.peer = b""
        self.exchange: OpenExchange | None = None

    # what the transport reports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the peer; the server refuses the connection at once over its limit."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        peer = transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        self.peer = host.removeprefix("::ffff:").encode("ascii")  # IPv4 on a socket of both
        listener = self.listener
        self.trusted = listener.is_trusted(host)
        self.deadline = listener.now() + listener.limits.head_timeout
        listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes to the tunnel, to the open body, or to the next head."""
        if self._tunnel is not None:
            if not self._tunnel.is_closing():
                self._tunnel.write(data)
            return
        if self.phase in _DISCARDING:
            return
        if self.arriving is not None and not self._behind:
            data = self._feed_body(self.arriving, data)
            if not data:
                return
        self._buffer = self._buffer + data if self._buffer else data
        if self.exchange is None and not self.writing_paused:
            self._next_head()
        elif len(self._buffer) > self.listener.room:
            self._regulate()

    def eof_received(self) -> bool:
        """Treat the end of the stream as the client going away, after a short grace.

        A half-closed client looks the same as one that has left; whole requests get a moment to be
        answered, and another while the client takes what comes. A request or a tunnel that is cut
        in the middle ends at once.
        """
        self._outbox.flush()  # the transport may close now
        if self.exchange is None:
            if not self._sent_ahead():
                return False
        elif self._tunnel is not None or self.arriving is not None:
            self.exchange.cancel()
            return False
        self.ended = True
        if not self.writing_paused:
            self.start_grace()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """End the exchange: the client is gone."""
        self.phase = STEPS[self.phase][Step.LOST]
        self.listener.closed(self)
        if self.exchange is not None:
            self.exchange.cancel()

    def pause_writing(self) -> None:
        """Read the product no further: the client does not keep up."""
        self.writing_paused = True
        self.taken = taken_so_far(self.transport)
        exchange = self.exchange
        if exchange is not None and exchange.relay is not None:
            exchange.relay.pause()
        if self.ended:
            self.deadline = self.listener.now() + self.listener.patience
        elif exchange is not None:
            self.watch()

    def resume_writing(self) -> None:
        """Read the product again, or take the request that waited for the answers to go out."""
        self.writing_paused = False
        exchange = self.exchange
        if exchange is not None and exchange.relay is not None:
            exchange.relay.resume()
        if self.ended:
            self.start_grace()
        elif exchange is not None:
            self.watch()
        if self._buffer:
            self._go_on()

    # what the exchange does

    def write(self, data: bytes) -> None:
        """Send bytes, unless the client is gone and the exchange not yet cancelled."""
        self._outbox.send(self.transport, data)
        if self.writing_paused:
            self._outbox.flush()
            self.taken = taken_so_far(self.transport)

    def write_interim(self, data: bytes) -> None:
        """Send a 1xx, which is no answer yet; the client may now have to go on."""
        self._outbox.send(self.transport, data)
        self.watch()

    def watch(self) -> None:
        """Start the bodies' deadline again: something moved, or has to."""
        if self.phase not in _DISCARDING and not self.ended:
            client_moves = self.arriving is not None or self.writing_paused
            idle = self.listener.body_idle if client_moves else self.listener.answer_idle
            self.deadline = min(self.listener.now() + idle, self._body_due)

    def pause_body(self) -> None:
        """Read no more from the client for now."""
        self.body_full = True
        self._regulate()

    def resume_body(self) -> None:
        """Read from the client again."""
        if self.body_full:
            self.body_full = False
            self._regulate()
            self.watch()

    def open_tunnel(self, upstream: TunnelEnd) -> None:
        """From now on pass bytes to the upstream as they come, those that wait first."""
        self.phase = STEPS[self.phase][Step.UPGRADED]
        self._tunnel = upstream
        if self._buffer:
            upstream.write(self._buffer)
            self._buffer = b""
        self._regulate()

    def exchange_ended(self, *, keep: bool, whole: bool) -> None:
        """Take the next request, or close; `whole`: nothing behind the request is on its way."""
        self.exchange = None
        self.arriving = None
        self.body_full = self.moved = False
        if self.phase is Phase.CLOSED:
            return
        listener = self.listener
        if not self.ended:
            self.deadline = listener.now() + listener.limits.idle_timeout
        if self.transport.is_closing():
            return  # what is still unsent has that time
        if not keep:
            self._close(whole=whole and not self._buffer)
            return
        self.phase = STEPS[self.phase][Step.ANSWERED]
        if self._buffer:  # not at once: one event would answer all that were sent ahead
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self.ended or not self._reading:
            self._go_on()

    def _go_on(self) -> None:
        """Take the next request, where it is here; close where none will come."""
        if not self._is_between() or self.transport.is_closing():
            return
        if self._buffer and not self.writing_paused:
            self._next_head()
        if self.ended and self._is_between() and not self._sent_ahead():
            self._close(whole=True)
        elif not self._reading:
            self._regulate()

    def _is_between(self) -> bool:
        """Say whether a request may begin. Not inline: compiled, a test for None would hold on."""
        return self.exchange is None and self.phase in _BETWEEN

    def _sent_ahead(self) -> bool:
        """Say whether bytes wait that were not looked at: requests behind the last one."""
        return len(self._buffer) > self._searched

    def abort(self) -> None:
        """Cut the connection, so that the client does not take what it has for a whole answer."""
        self._outbox.flush()
        relay = None if self.exchange is None else self.exchange.relay
        if relay is not None and relay.until_close:
            reset_on_close(self.transport)
        self.transport.abort()

    # what the server does

    def turn_away(self) -> None:
        """Answer that there is no room, and close."""
        self.listener.refuse_overloaded(self)
        self._close(whole=False)

    def drain(self) -> None:
        """Close at once if nothing is under way, after the answer if something is."""
        if self.exchange is not None:
            self.exchange.keep = False
        elif self.phase is Phase.IDLE and not self._buffer:
            self._close(whole=True)

    # inside

    def _next_head(self) -> None:
        """Take one head off the buffer, when it is all there, and start its exchange."""
        buffer = self._buffer
        limits = self.listener.limits
        searched = self._searched
        start = 2 if buffer.startswith(b"\r\n") else 0  # RFC 9112, 2.2: one empty line before
        first = buffer[start : start + 1]
        end = 0
        try:
            if first and first[0] not in _FIRST_BYTES and buffer != b"\r":
                raise ProtocolError("this is not HTTP/1.1")  # noqa: TRY301 - one way to refuse
            end = buffer.find(b"\r\n\r\n") + 4 if not searched else 0
            if end < 4:
                end = find_end(buffer, searched)
            if (end or len(buffer)) > limits.max_head_bytes:
                text = f"the head is over {limits.max_head_bytes} bytes"
                raise ProtocolError(text, 431)  # noqa: TRY301
            head = None
            if end:
                head = parse_request(buffer[start:end], limits.max_fields, self.listener.upgrades)
        except ProtocolError as error:
            self.refuse(error)
            return
        if head is not None:
            self._searched = 0
            self._buffer = buffer[end:]
            self._start(head)
            return
        self.phase = STEPS[self.phase][Step.BYTES]
        if not searched and not self.ended:
            self.deadline = self.listener.now() + limits.head_timeout
        self._searched = len(buffer)

    def _start(self, head: RequestHead) -> None:
        if not self.ended:
            self.deadline = _NEVER
        listener = self.listener
        body = None
        if head.length:
            body = InboundBody(self, head.length, listener.memory, expects=head.expects_continue)
            if self._buffer:
                try:
                    self._buffer = body.feed(self._buffer)
                except ProtocolError as error:
                    body.let_go()
                    self.refuse(error)
                    return
            if not body.done:
                if self._buffer:
                    self._fall_behind()
                elif self.ended:  # the rest will not come
                    body.let_go()
                    self._close(whole=True)
                    return
                self.arriving = body
                self._body_due = listener.now() + listener.request_timeout
                if not body.owes_continue:
                    self.watch()
        self.phase = STEPS[self.phase][Step.REQUEST]
        listener.begin(self, head, body)

    def _feed_body(self, body: InboundBody, data: bytes) -> bytes:
        """Feed the open body; return what follows it."""
        exchange = self.exchange
        try:
            rest = body.feed(data)
        except ProtocolError as error:
            self.break_body(error)
            return b""
        if rest and not body.done:
            self._fall_behind()
        if body.done:  # the upstream has to go on now, which has a limit of its own
            self.arriving = None
            self._body_due = self.deadline = _NEVER
        if not body.done or (exchange is not None and exchange.answered):
            self.watch()
        return rest

    def _fall_behind(self) -> None:
        """Feed what is left of the body in the loop's next iteration; it waits in the buffer."""
        self._behind = True
        self._regulate()
        asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        data, self._buffer, self._behind = self._buffer, b"", False
        if data and not self.transport.is_closing():
            self.data_received(data)
        self._regulate()

    def break_body(self, error: ProtocolError) -> None:
        """End the exchange with a 400: what follows cannot be told from a request."""
        self.phase = STEPS[self.phase][Step.BODY_BROKE]
        self.arriving = None
        self.deadline = _NEVER
        if self.exchange is not None:
            self.exchange.break_off(error)

    def start_grace(self) -> None:
        """Give a client that has ended its side a moment to show that it is still there."""
        self.taken = taken_so_far(self.transport)
        self.deadline = self.listener.now() + _GONE_SECONDS
        self.listener.sweep_soon(_GONE_SECONDS)

    def refuse(self, error: ProtocolError) -> None:
        """Answer what never became a request, and close."""
        self.listener.refuse_unparsed(self, error)
        self._close(whole=False)

    def _close(self, *, whole: bool) -> None:
        """Close once the answer is out; what the client still sends is thrown away.

        Closing with unread bytes would reset the connection and could destroy the answer on its
        way (RFC 9112, 9.6), so our side is closed first and the rest is read for a moment.
        """
        self.phase = STEPS[self.phase][Step.CLOSE]
        self._buffer = b""
        self._outbox.flush()
        self.taken = taken_so_far(self.transport)
        unsent = self.transport.get_write_buffer_size()
        seconds = self.listener.patience if unsent else _LINGER_SECONDS
        self.deadline = self.listener.now() + seconds
        if whole or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.body_full = False
        self._regulate()
        try:
            self.transport.write_eof()
        except OSError:  # asyncio's, where the client's reset has come and is not read yet
            self.transport.abort()

    def _regulate(self) -> None:
        """Read from the client exactly while there is room for what it sends."""
        room = len(self._buffer) <= self.listener.room
        wanted = room and not self.body_full and not self._behind
        if wanted is self._reading or self.ended or self.transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
