"""The server's end of TLS in memory: its bytes can be cut, joined, changed and held back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from typing_extensions import override

from sidecar.http1.tls import Sessions, TlsTransport
from tests.fakes.transports import DeafTransport

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
"""The server's, and that of a client who trusts it."""


class Records:
    """Takes the client's bytes, and returns the server's."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.open = False
        self.closed = False
        """Whether the client's close_notify has come."""

    def take(self, data: bytes) -> bytes:
        """Go on with the handshake, or return what the client has said."""
        self._incoming.write(data)
        plain = b""
        try:
            if not self.open:
                self.tls.do_handshake()
                self.open = True
            while part := self.tls.read(65536):
                plain += part
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # after its own
            self.closed = True
        return plain

    def say(self, data: bytes = b"") -> bytes:
        """Return this and what waits to be sent, as records."""
        written = 0
        while written < len(data):
            written += self.tls.write(memoryview(data)[written:])
        return self._outgoing.read()

    def close(self) -> bytes:
        """Return close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()


class RecordingProtocol(asyncio.Protocol):
    """Keeps what its transport reports."""

    def __init__(self) -> None:
        self.connected = False
        self.parts: list[bytes] = []
        self.ended = False
        self.lost: list[Exception | None] = []
        self.writable: list[bool] = []

    @property
    def content(self) -> bytes:
        """All that came."""
        return b"".join(self.parts)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connected = True

    @override
    def data_received(self, data: bytes) -> None:
        self.parts.append(data)

    @override
    def eof_received(self) -> None:
        self.ended = True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    @override
    def pause_writing(self) -> None:
        self.writable.append(False)

    @override
    def resume_writing(self) -> None:
        self.writable.append(True)


class Wire:
    """A client's end on a transport that goes nowhere, and the server's end; a loop must run."""

    def __init__(self, contexts: Contexts, sessions: Sessions | None = None) -> None:
        ours, theirs = contexts
        self.server = Records(ours)
        self.transport = DeafTransport()
        self.protocol = RecordingProtocol()
        self.tls = TlsTransport(self.protocol, theirs, "127.0.0.1", sessions or Sessions())
        self.tls.connection_made(self.transport)

    def deliver(self, data: bytes, size: int = 1 << 20) -> None:
        """Have the server's bytes arrive, in pieces of that size."""
        for start in range(0, len(data), size):
            if self.transport.is_closing():
                break
            self.tls.data_received(data[start : start + size])

    def collect(self) -> bytes:
        """Return what the server reads of what the client has written."""
        data, self.transport.written = self.transport.written, b""
        return self.server.take(data)

    def shake_hands(self, size: int = 1 << 20) -> None:
        """Pass bytes to and fro until there are no more, or the client gives up."""
        while self.transport.written and not self.transport.is_closing():
            self.collect()
            self.deliver(self.server.say(), size)
