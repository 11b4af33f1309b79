"""One answer on its way from the upstream to the client, written as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.answers.refusals import mark_lines
from sidecar.domain.model import AttemptEnd, Decision, Permit
from sidecar.domain.ports import Clock
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.framing import BodyFraming, ChunkedBody
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE, HeadFields
from sidecar.http1.response_heads import ResponseHead
from sidecar.http1.shared_lines import CLOSE, date_line
from sidecar.proxy import headers
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.metered_tunnel import MeteredTunnel
from sidecar.proxy.phases import Phase
from sidecar.proxy.settling import Settling
from sidecar.usage.realtime.deflate import UnknownExtensionError

_SWITCHING_PROTOCOLS: Final = 101
_SERVER_ERROR: Final = 500
_EVENT_STREAM: Final = b"text/event-stream"


Ended = PeerFailure | ProtocolError | None
"""How an answer has ended: None when whole, or when its client has left."""


class Relay:
    """The handler of one upstream answer; `finished(relay)` is called once, when it has `ended`.

    An answer that comes in parts waits with its head for the first bytes of its body, which come at
    once, so that both leave in one write. `until_close`: the client can tell the whole answer only
    by the end of the connection. `unreached`: provably, not one byte of the request has arrived.
    `resend` is the whole request while it may have to be sent again, because the upstream may have
    closed its connection meanwhile. `detail` says how the upstream failed, for the log. `settling`
    reads the answer of a call that is settled by it. `permit` and `decision` admitted the call, and
    `attempt_end` is how that has gone so far: a client that broke its own request is charged.
    """

    __slots__ = ("_chunk", "_client", "_clock", "_ending", "_fields", "_finished", "_first_byte",
                 "_over", "_pending", "_started", "_tunnel", "attempt_end", "decision", "decode",
                 "detail", "ended", "exchange", "permit", "resend", "settling", "unreached",
                 "until_close", "upstream")  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        upstream: ClientConnection,
        decision: Decision,
        permit: Permit,
        settling: Settling | None,
        *,
        clock: Clock,
        first_byte_timeout: float | None,
        finished: Callable[[Relay], None],
    ) -> None:
        self.exchange = exchange
        self.upstream = upstream
        self.decision = decision
        self.permit = permit
        self.settling = settling
        self.ended: Ended = None
        self.attempt_end = AttemptEnd.UNREACHED
        self.detail = ""
        self.unreached = False
        self.resend = b""
        self.until_close = False
        self.decode = exchange.head.minor == 0  # it knows no chunks
        self._client = exchange.client
        self._clock = clock
        self._first_byte = first_byte_timeout
        self._finished = finished
        self._fields: HeadFields = []
        self._pending = b""
        self._chunk = False
        self._started = self._over = False
        self._ending = b""
        self._tunnel: MeteredTunnel | None = None

    # the request

    def start(self, request: bytes, *, again: bool = False) -> None:
        """Send the head of the request, and what there is of its body.

        `again`: this is a whole request that another connection has lost.
        """
        exchange, upstream = self.exchange, self.upstream
        body = exchange.body
        if body is not None:
            request += body.attach(self.send_body)
        complete = body is None or body.done
        self._started = True
        self.attempt_end = AttemptEnd.DONE
        if complete and upstream.used and not again:
            self.resend = request
        upstream.start(self, exchange.head.method, request, complete=complete)
        if not self.resend:
            self._count_unsent()
        if complete and self._first_byte is not None:
            upstream.expire_after(self, self._first_byte)

    def _count_unsent(self) -> None:
        """Count the part of the request that the upstream has not taken."""
        body = self.exchange.body
        if body is not None:
            body.count_unsent(self.upstream.transport.get_write_buffer_size())

    def send_body(self, data: bytes, done: bool) -> None:  # noqa: FBT001 - the shape of a sink
        """Pass a part of the request's body on."""
        if self._over:
            return
        if data:
            self.upstream.write(self, data)
        if done:
            self.upstream.complete_request(self)
            if self._first_byte is not None and not self.exchange.status:
                self.upstream.expire_after(self, self._first_byte)

    def abandon(self) -> None:
        """Let go of the upstream, as the exchange ends early: cut the answer, flush a tunnel.

        Where the answer has ended, its connection may serve another client by now, and is left.
        """
        if not self._started:
            self.upstream.put_back()
        elif self._client.phase is Phase.TUNNEL:
            self.upstream.leave(self)
        else:
            self.upstream.abort(self)

    def leave(self) -> None:
        """End a tunnel, when what was written to both sides is out."""
        self.upstream.leave(self)
        self._end(None)

    def cancel(self) -> None:
        """End the answer: its client has left."""
        if not self._over:
            self.abandon()
            self._end(None)

    def break_off(self, error: ProtocolError) -> None:
        """End the exchange because the client broke its own request."""
        if not self._over:
            self.upstream.abort(self)
            self._end(error)

    def time_out(self) -> None:
        """End the exchange because a body stalls on the upstream's side.

        A tunnel may be silent, and an event stream: a model thinks for minutes, and the client ends
        the wait. The head of the answer has a limit of its own.
        """
        if _is_event_stream(self._fields):
            return
        body = self.exchange.body
        stalled = self.exchange.status or (body is not None and not body.done)
        if stalled and self._client.phase is Phase.EXCHANGE and not self._over:
            self.upstream.fail(self, PeerFailure.IDLE_TIMEOUT)

    def pause(self) -> None:
        """Read the upstream no further for now."""
        self.upstream.pause_reading(self)

    def resume(self) -> None:
        """Read the upstream again, where its client takes the answer and its tunnel kept up."""
        tunnel = self._tunnel
        if not (self._client.writing_paused or (tunnel is not None and tunnel.behind)):
            self.upstream.resume_reading(self)

    # the upstream's answer

    def on_writable(self, *, writable: bool) -> None:
        """Let the client send only as fast as the upstream takes it."""
        if not self.resend:
            self._count_unsent()
        if self._tunnel is not None:
            self._tunnel.on_writable(writable=writable)
        elif writable:
            self._client.resume_body()
        else:
            self._client.pause_body()

    def on_interim(self, head: ResponseHead) -> None:
        """Pass 100 and 103 on to a client that knows them (RFC 9110, 15.2)."""
        if self.exchange.head.minor == 1:
            self._client.write_interim(headers.response_head(head, b"", tells_quota=False))

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """Write an answer that came in one piece."""
        exchange, client = self.exchange, self._client
        exchange.keep = exchange.keep and (exchange.body is None or exchange.body.done)
        try:
            if self.settling is not None:
                self.settling.begin(head)
                data = self.settling.end(data)
            connection = client.listener.keep_alive if exchange.keep else CLOSE
            written = self._written(head, connection, dated=head.dated)
        except BaseException:  # a fault of ours: no other call would end the exchange
            self.on_failure(PeerFailure.PROTOCOL, "its answer could not be passed on")
            raise
        exchange.status = head.status
        exchange.answered = True
        if head.status >= _SERVER_ERROR:
            self.attempt_end = AttemptEnd.FAILED
        client.write(written + data)
        self._over = True
        self._finished(self)

    def on_head(self, head: ResponseHead) -> None:
        """Write the head again, framed for this client."""
        exchange = self.exchange
        if self.resend:
            self.resend = b""
            self._count_unsent()
        switches = head.status == _SWITCHING_PROTOCOLS
        connection = self._switch(head) if switches else self._frame(head)
        if connection is None:
            self.upstream.abort(self)
            self._end(PeerFailure.PROTOCOL)
            return
        exchange.status = head.status
        if head.status >= _SERVER_ERROR:
            self.attempt_end = AttemptEnd.FAILED
        self._fields = head.fields
        if self.settling is not None:
            self.settling.begin(head, chunked=head.length == CHUNKED and not self.decode)
        self._pending = self._written(head, connection, dated=head.dated or switches)
        if self._client.writing_paused:
            self.pause()
        if switches:
            self._send(b"")
            tunnel = self._tunnel
            self._client.open_tunnel(self.upstream.transport if tunnel is None else tunnel)

    def _written(self, head: ResponseHead, of_the_hop: bytes, *, dated: bool) -> bytes:
        """Write the head for the client; `dated`: it needs no Date of ours."""
        now = self._clock.time()
        marks, tells_quota = mark_lines(self.decision, now)
        added = self._client.listener.via[head.minor] + marks
        if not dated:
            added += date_line(int(now))
        return headers.response_head(head, added + of_the_hop, tells_quota=tells_quota)

    def _switch(self, head: ResponseHead) -> bytes | None:
        """Return the Connection lines of a 101; None where the client must not get it."""
        upgrade = self.exchange.head.upgrade
        if upgrade is None or not _same_protocol(head, upgrade):
            self.detail = "its 101 switches to another protocol than was asked for"
            return None
        try:
            if self.settling is not None:
                self._tunnel = self.settling.switch(head, self)
        except UnknownExtensionError as error:
            self.detail = str(error)
            return None
        return b"connection: upgrade\r\nupgrade: " + upgrade + b"\r\n"

    def _frame(self, head: ResponseHead) -> bytes:
        """Choose the framing towards the client; return its line, and the Connection lines."""
        exchange = self.exchange
        line = b""
        minor = exchange.head.minor
        if head.length in {CHUNKED, UNTIL_CLOSE}:
            if minor == 0:
                exchange.keep = False
                self.until_close = True
            else:
                self._chunk = head.length == UNTIL_CLOSE or self.decode
                self._ending = b"0\r\n\r\n"
                line = b"transfer-encoding: chunked\r\n"
        if not (exchange.keep and (exchange.body is None or exchange.body.done)):
            # Also where the answer came before the whole request (RFC 9112, 9.6): what is left of
            # it would have to be read first.
            exchange.keep = False
            return line + CLOSE
        return line + self._client.listener.keep_alive

    def _send(self, data: bytes) -> None:
        """Send a part of the answer, with the head where that still waits."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        if data:
            self.exchange.answered = True
            self._client.write(data)

    def on_body(self, data: bytes) -> None:
        """Pass a part of the answer on."""
        if self.settling is not None:
            data = self.settling.feed(data)
        if self._chunk and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._send(data)
        self._client.moved = True

    def on_end(self, data: bytes, body: BodyFraming) -> None:
        """Pass the last part on."""
        if self.settling is not None:
            data = self.settling.end(data)
        if self._chunk and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._ending:
            data += body.last_chunk() if isinstance(body, ChunkedBody) else self._ending
        self._send(data)
        self._end(None)

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """End the exchange without a whole answer; a head that still waits is not sent."""
        if self._pending:
            self._pending = b""
            self.exchange.status = 0
        self.detail = detail
        self.unreached = kind is PeerFailure.CLOSED_EARLY and self.upstream.never_arrived()
        self._end(kind)

    def _end(self, ended: Ended) -> None:
        if not self._over:
            self._over = True
            self.ended = ended
            if isinstance(ended, PeerFailure):
                self.attempt_end = AttemptEnd.UNREACHED if self.unreached else AttemptEnd.FAILED
            self._finished(self)


def _is_event_stream(fields: HeadFields) -> bool:
    for name, value in fields:
        if name == b"content-type":
            return value[: len(_EVENT_STREAM)].lower() == _EVENT_STREAM
    return False


def _same_protocol(head: ResponseHead, upgrade: bytes) -> bool:
    """Say whether a 101 switches to what was asked for (RFC 9110, 7.8)."""
    named = [value for name, value in head.fields if name == b"upgrade"]
    return len(named) == 1 and named[0].lower() == upgrade.lower()
