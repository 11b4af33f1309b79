"""One exchange on a connection without a network, and all that matters of how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure
from tests.fakes.handlers import RecordingHandler
from tests.fakes.transports import DeafTransport
from tests.unit.http1.answer_vectors import Answer

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Line:
    """A connection on a transport that goes nowhere, and what its owner was told."""

    def __init__(self) -> None:
        self.released = 0
        self.lost = 0
        self.connection = ClientConnection(
            self._release, self._lose, max_head_bytes=500, max_fields=10
        )
        self.transport = DeafTransport()
        self.connection.connection_made(self.transport)

    def _release(self, connection: ClientConnection) -> None:
        assert connection is self.connection
        self.released += 1

    def _lose(self, connection: ClientConnection) -> None:
        assert connection is self.connection
        self.lost += 1

    @property
    def kept(self) -> bool:
        """Whether another request may go out."""
        return bool(self.released) and not self.transport.is_closing()

    def ask(self, handler: RecordingHandler, method: str = "GET", *, complete: bool = True) -> None:
        """Send a request."""
        self.connection.start(handler, method, REQUEST, complete=complete)

    def hear(self, *pieces: bytes, closes: bool = False) -> None:
        """Have the server's bytes come in these pieces, then the end of its stream."""
        for piece in filter(None, pieces):
            if self.transport.is_closing():
                break
            self.connection.data_received(piece)
        if closes and not self.transport.is_closing():
            self.connection.eof_received()
            self.transport.close()
        if self.transport.is_closing():
            self.connection.connection_lost(None)


@dataclass(frozen=True)
class Outcome:
    """All that matters of an exchange once it is over."""

    interim: tuple[int, ...]
    status: int
    content: bytes
    trailers: tuple[tuple[bytes, bytes], ...]
    whole: bool
    failure: PeerFailure | None
    kept: bool


def outcome(answer: Answer, pieces: list[bytes], *, decode: bool = False) -> Outcome:
    """Ask, have the answer come in these pieces, and look at the end."""
    line = Line()
    handler = RecordingHandler(decode=decode)
    line.ask(handler, answer.method)
    line.hear(*pieces, closes=answer.closes)
    assert line.lost == line.transport.is_closing()
    return Outcome(
        tuple(handler.interim),
        handler.head.status if handler.head is not None else 0,
        handler.content,
        tuple(handler.trailers),
        handler.whole,
        handler.failure,
        line.kept,
    )
