"""One answer on its way from the upstream to the client, written as it comes."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecar.domain.model import Execution
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.framing import Body, ChunkedBody
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from sidecar.proxy import headers
from sidecar.proxy.downstream import ServerConnection

_CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"


class Relay:
    """The handler of one upstream answer; `finished` tells how it went, None when whole.

    The head waits for the first bytes of the body, which come at once, so that both leave in one
    write. `status` is 0 until a head was passed on; `until_close` says that the client can tell the
    whole answer only by the end of the connection; `unreached` that, provably, not one byte of the
    request has arrived. `resend` is the whole request while it may have to be sent again, because
    the upstream may have closed its connection meanwhile.
    """

    __slots__ = ("_added", "_client", "_ending", "_first_byte", "_head", "_pending", "_rechunk",
                 "_started", "_tells_quota", "decode", "finished", "keep", "resend", "status",
                 "unreached", "until_close", "upstream")  # fmt: skip

    def __init__(
        self,
        client: ServerConnection,
        upstream: ClientConnection,
        head: RequestHead,
        added: bytes,
        *,
        tells_quota: bool,
        keep: bool,
        first_byte_timeout: float | None,
        finished: asyncio.Future[PeerFailure | ProtocolError | None],
    ) -> None:
        self._client = client
        self._head = head
        self._added = added
        self._tells_quota = tells_quota
        self._pending = b""
        self._rechunk = False
        self._started = False
        self._ending = b""
        self.decode = head.minor == 0  # HTTP/1.0 knows no chunks
        self._first_byte = first_byte_timeout
        self.keep = keep
        self.status = 0
        self.unreached = False
        self.resend = b""
        self.until_close = False
        self.upstream = upstream
        self.finished: asyncio.Future[PeerFailure | ProtocolError | None] = finished

    # the request

    def start(self, data: bytes, *, complete: bool) -> None:
        """Send the head, and what there is of the body."""
        self._started = True
        self.resend = data if complete and self.upstream.used else b""
        self.upstream.start(self, self._head.method, data, complete=complete)
        self._count_unsent()
        if complete:
            self._await_answer()

    def _count_unsent(self) -> None:
        """Count the part of the request that the upstream has not taken."""
        body = self._client.body
        if body is not None and not self.resend:
            body.count_unsent(self.upstream.transport.get_write_buffer_size())

    def _await_answer(self) -> None:
        """From now on the upstream owes the first byte of its answer."""
        if self._first_byte is not None and not self.status:
            self.upstream.expire_after(self, self._first_byte)

    def send_body(self, data: bytes, done: bool) -> None:  # noqa: FBT001 - the shape of a sink
        """Pass a part of the request's body on."""
        if self.finished.done():
            return
        if data:
            self.upstream.write(self, data)
        if done:
            self.upstream.complete_request(self)
            self._await_answer()

    def abandon(self) -> None:
        """Let go of the upstream, as the exchange ends early: cut the answer, flush a tunnel.

        Where the answer has ended, its connection may serve another client by now, and is left.
        """
        if not self._started:
            self.upstream.put_back()
        elif self._client.tunnel is not None:
            self.upstream.leave(self)
        else:
            self.upstream.abort(self)

    @property
    def execution(self) -> Execution:
        """How the attempt went so far; a client that broke its own request is charged."""
        if not self._started or self.unreached:
            return Execution.UNREACHED
        finished = self.finished
        failed = (
            finished.done()
            and not finished.cancelled()
            and isinstance(finished.result(), PeerFailure)
        )
        return Execution.FAILED if failed or self.status >= 500 else Execution.DONE

    def break_off(self, error: ProtocolError) -> None:
        """End the exchange because the client broke its own request."""
        if not self.finished.done():
            self.upstream.abort(self)
            self.finished.set_result(error)

    def time_out(self) -> None:
        """End the exchange because a body stalls on the upstream's side.

        A tunnel may be silent, and the head of the answer has a limit of its own.
        """
        body = self._client.body
        stalled = self.status or (body is not None and not body.done)
        if stalled and self._client.tunnel is None and not self.finished.done():
            self.upstream.fail(self, PeerFailure.IDLE_TIMEOUT)

    # the upstream's answer

    def on_writable(self, *, writable: bool) -> None:
        """Let the client send only as fast as the upstream takes it."""
        self._count_unsent()
        if writable:
            self._client.resume_body()
        else:
            self._client.pause_body()

    def on_interim(self, head: ResponseHead) -> None:
        """Pass 100 and 103 on to a client that knows them (RFC 9110, 15.2)."""
        if self._head.minor == 1:
            self._client.write_interim(
                headers.response_head(head, b"", tells_quota=False, chunked=False, connection=b"")
            )

    def on_head(self, head: ResponseHead) -> None:
        """Write the head anew, framed for this client."""
        if self.resend:
            self.resend = b""
            self._count_unsent()
        upgrade = self._head.upgrade
        if head.status == 101:
            if upgrade is None or not _same_protocol(head, upgrade):
                self.upstream.abort(self)
                self.finished.set_result(PeerFailure.PROTOCOL)
                return
            connection = b"connection: upgrade\r\nupgrade: " + upgrade + b"\r\n"
            self.keep = False
        else:
            if upgrade is not None:
                self.keep = False  # what the client sent after its head was for the tunnel
            connection = self._frame(head)
        self.status = head.status
        self._pending = headers.response_head(
            head,
            self._added,
            tells_quota=self._tells_quota,
            chunked=self._rechunk or bool(self._ending),
            connection=connection,
        )
        self._client.feeds_from(self.upstream.transport)
        if head.status == 101:
            self._client.write(self._take_pending())
            self._client.open_tunnel(self.upstream.transport)

    def _frame(self, head: ResponseHead) -> bytes:
        """Choose the framing towards the client; return the Connection line."""
        if head.length in {CHUNKED, UNTIL_CLOSE} and self._head.minor == 0:
            self.keep = False
            self.until_close = True
        elif head.length == CHUNKED:
            self._ending = b"0\r\n\r\n"
        elif head.length == UNTIL_CLOSE:
            self._rechunk = True
            self._ending = b"0\r\n\r\n"
        if not self.keep:
            return _CLOSE
        return _KEEP_ALIVE if self._head.minor == 0 else b""

    def on_body(self, data: bytes) -> None:
        """Pass a part of the answer on, with the head where that still waits."""
        if self._rechunk and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._pending:
            data = self._take_pending() + data
        if data:
            self._client.write(data)
        self._client.moved = True

    def on_end(self, data: bytes, body: Body) -> None:
        """Pass the last part on."""
        if self._rechunk and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._ending:
            data += body.last_chunk() if isinstance(body, ChunkedBody) else self._ending
        if self._pending:
            data = self._take_pending() + data
        self._client.feeds_from(None)  # the connection is in its pool, or closed
        if data:
            self._client.write(data)
        if not self.finished.done():
            self.finished.set_result(None)

    def on_failure(self, kind: PeerFailure, detail: str) -> None:  # noqa: ARG002 - kind says it
        """Tell the exchange that no whole answer will come; a head that still waits is not sent."""
        if self._pending:
            self._pending = b""
            self.status = 0
        self.unreached = kind is PeerFailure.CLOSED_EARLY and self.upstream.never_arrived()
        if not self.finished.done():
            self.finished.set_result(kind)

    def _take_pending(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending


def _same_protocol(head: ResponseHead, upgrade: bytes) -> bool:
    """Say whether a 101 switches to what was asked for (RFC 9110, 7.8)."""
    named = [value for name, value in head.fields if name == b"upgrade"]
    return len(named) == 1 and named[0].lower() == upgrade.lower()
