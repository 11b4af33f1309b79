"""TLS towards a server: OpenSSL works in memory, between a plain transport and its protocol.

An event loop's own TLS layer costs several times as much for a small request and its answer.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from contextlib import suppress
from typing import Final, cast

from sidecar.http1.delivery import acknowledged, ended, left_unread

_RECORD: Final = 16 * 1024
_MOST_REPLIES: Final = 1024 * 1024
_SESSION_SECONDS: Final = 3600.0


class Sessions:
    """The TLS session of one origin that its next connections resume.

    Kept of full handshakes alone, and for an hour: a resumed one verifies no certificate.
    """

    __slots__ = ("_kept", "_until")

    def __init__(self) -> None:
        self._kept: ssl.SSLSession | None = None
        self._until = 0.0

    def kept(self, now: float) -> ssl.SSLSession | None:
        """Return what the next handshake may resume."""
        return self._kept if now < self._until else None

    def keep(self, session: ssl.SSLSession | None, now: float) -> None:
        """Keep a session whose handshake has verified the certificate."""
        if session is not None and session.has_ticket:
            self._kept = session
            self._until = now + _SESSION_SECONDS

    def forget(self, session: ssl.SSLSession | None) -> None:
        """Resume this one no more: the server did not, or its handshake failed."""
        if self._kept is session:
            self._kept = None
            self._until = 0.0


# Not a subclass, for the same reason as the client's connection.
class TlsTransport:
    """The protocol of a plain transport; once it is `opened`, the transport of `protocol`.

    What is written is encrypted at once and what arrives is decrypted at once: only the plain
    transport buffers, and its back-pressure is passed on. Raises nothing but in `opened`.
    """

    __slots__ = ("_closing", "_ended", "_fin", "_incoming", "_loop", "_new",
                 "_offered", "_open", "_opening", "_outgoing", "_paused", "_problem", "_protocol",
                 "_raw", "_reset", "_sessions", "_tls", "acked_at_start", "sent")  # fmt: skip

    def __init__(
        self, protocol: asyncio.Protocol, context: ssl.SSLContext, host: str, sessions: Sessions
    ) -> None:
        self._protocol = protocol
        self._sessions = sessions
        self._loop = asyncio.get_running_loop()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._offered = sessions.kept(self._loop.time())
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=host, session=self._offered
        )
        self._raw = cast("asyncio.Transport", None)
        self._opening: asyncio.Future[None] | None = None
        self._problem: Exception | None = None
        self._open = False
        self._paused = False
        self._new = True
        self._ended = False
        self._fin = False
        self._reset = False
        self._closing = False
        self.acked_at_start: int | None = None
        self.sent = 0
        """Encrypted bytes, the handshake's included."""

    async def opened(self) -> None:
        """Wait for the end of the handshake. Raises OSError, of which ssl.SSLError is one."""
        try:
            if self._problem is None and not self._open:
                self._opening = self._loop.create_future()
                await self._opening
        except BaseException:
            self.abort()
            raise
        if self._problem is not None:
            self.abort()
            try:
                raise self._problem
            finally:
                self._problem = None  # or it would keep itself alive through its traceback

    # the transport of `protocol`

    def write(self, data: bytes) -> None:
        """Encrypt and send; as one record, up to 16 KiB."""
        if self._closing:
            return
        try:
            written = self._tls.write(data)
            if written < len(data):
                rest = memoryview(data)
                while written < len(data):
                    written += self._tls.write(rest[written:])
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._send()

    def close(self) -> None:
        """Send what was written, then close_notify, and end without waiting for the server's."""
        if self.is_closing():
            return
        self._closing = True
        with suppress(ssl.SSLError):  # the server has not sent its own yet
            self._tls.unwrap()
        self._send()
        self._raw.close()

    def abort(self) -> None:
        """End at once."""
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Say whether nothing can be sent any more."""
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Receive nothing more for now, nor the end that has been read with the last bytes."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._paused = False
        self._raw.resume_reading()
        if self._ended:
            self._loop.call_soon(self._pass_end)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits of the plain transport, which count encrypted bytes."""
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many encrypted bytes the kernel has not taken."""
        return self._raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return this (`tls`), OpenSSL's (`ssl_object`), or what the plain transport knows."""
        if name == "tls":
            return self
        return self._tls if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def left_unread(self) -> bytes:
        """Return what had arrived on a connection that is lost because a write failed."""
        if self._problem is not None or self._ended:
            return b""
        data = left_unread(self._raw)
        return self._decrypt(data) if data else b""

    def closed_in_order(self) -> bool:
        """Say whether the server closed TCP in order, which close_notify does not mean.

        The kernel reports a reset once, to our write as well; a read after it looks like a FIN.
        """
        return self._fin or (not self._reset and ended(self._raw))

    # the protocol of the plain transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._raw = cast("asyncio.Transport", transport)
        self.acked_at_start = acknowledged(transport)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Decrypt and pass on."""
        if not self._open:
            self._incoming.write(data)
            if not (self._shake_hands() and self._incoming.pending):
                return
            data = b""
        plain = self._decrypt(data)
        if self._outgoing.pending:
            self._reply()
        if plain:
            if self._new:
                self._keep_session()
            self._protocol.data_received(plain)
        if self._problem is not None:
            self._fail(self._problem)
        elif self._ended:
            self._pass_end()

    def eof_received(self) -> None:
        """Do not pass on an end that TLS did not announce: it may be an attacker's."""
        self._fin = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on how the connection ended, or end the handshake."""
        self._closing = True
        self._reset = exc is not None
        if self._open:
            protocol, self._protocol = self._protocol, _GONE  # or they would keep each other alive
            protocol.connection_lost(self._problem or (None if self._ended else exc))
            return
        if self._problem is None:
            words = "the server closed the connection in the TLS handshake"
            self._problem = exc or ConnectionResetError(errno.ECONNRESET, words)
        self._end_opening()

    def pause_writing(self) -> None:
        """Pass back-pressure on."""
        if self._open:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass the end of back-pressure on."""
        if self._open:
            self._protocol.resume_writing()

    # inside

    def _pass_end(self) -> None:
        """Pass the end of the stream on, once."""
        if not (self._paused or self._closing):
            self._fin = ended(self._raw)  # before our own close_notify, which may fail
            self._protocol.eof_received()
            self.close()

    def _send(self) -> None:
        data = self._outgoing.read()
        self.sent += len(data)
        self._raw.write(data)

    def _shake_hands(self) -> bool:
        """Go on with the handshake; say whether it has succeeded."""
        try:
            self._tls.do_handshake()
            self._open = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._problem = error
        self._send()
        if self._open:
            if not self._tls.session_reused:
                self._sessions.forget(self._offered)
            self._protocol.connection_made(cast("asyncio.Transport", self))
            self._end_opening()
        elif self._problem is not None:
            self._sessions.forget(self._offered)
            self._closing = True
            self._raw.close()  # when the alert has been sent
            self._end_opening()
        return self._open

    def _keep_session(self) -> None:
        """Keep the session, unless one is kept: to read it costs a third of a handshake.

        Called at the first data, before which servers of TLS 1.3 send their tickets.
        """
        self._new = False
        now = self._loop.time()
        if self._sessions.kept(now) is None and not self._tls.session_reused:
            self._sessions.keep(self._tls.session, now)

    def _end_opening(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(None)

    def _decrypt(self, data: bytes) -> bytes:
        """Return what is whole; note the end of the stream, and a problem."""
        tls, incoming = self._tls, self._incoming
        incoming.write(data)
        parts: list[bytes] = []
        size = min(len(data), _RECORD) or _RECORD  # plain data is shorter: no large buffer for it
        try:
            while plain := tls.read(size):
                # The exception is expensive. A record that fits is read to its end.
                more = incoming.pending or len(plain) == size
                if not (more or parts):
                    return plain  # one record, as nearly always
                parts.append(plain)
                if not more:
                    break
                size = _RECORD
            else:
                self._ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._problem = error
        return b"".join(parts)

    def _reply(self) -> None:
        """Send what OpenSSL has to say by itself: alerts, to a server that should read them."""
        if self._raw.get_write_buffer_size() > _MOST_REPLIES:
            words = "the server does not read the TLS alerts that it causes"
            self._fail(ConnectionAbortedError(errno.ECONNABORTED, words))
        elif not self._closing:
            self._send()

    def _fail(self, problem: Exception) -> None:
        self._problem = problem
        self.abort()


_GONE: Final = asyncio.Protocol()
