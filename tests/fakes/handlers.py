"""Handlers of answers: one that keeps all it is told, and those that give up or break."""

from __future__ import annotations

import asyncio

from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure
from sidecar.http1.framing import BodyFraming, ChunkedBody, CountedBody
from sidecar.http1.response_heads import ResponseHead


class RecordingHandler:
    """`ResponseHandler` that keeps what it is told; `ended` is set at the end, good or bad."""

    def __init__(self, *, decode: bool = False) -> None:
        self.decode = decode
        self.interim: list[int] = []
        self.head: ResponseHead | None = None
        self.content = b""
        self.parts = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self.whole = False
        self.failure: PeerFailure | None = None
        self.writable: list[bool] = []
        self.ended = asyncio.Event()
        self.changed = asyncio.Event()
        """Set at each thing told; a test that waits clears it."""

    def on_interim(self, head: ResponseHead) -> None:
        """Keep the status."""
        self._told()
        self.interim.append(head.status)

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """Keep the head and the content."""
        RecordingHandler.on_head(self, head)
        self.on_end(data, CountedBody(0))

    def on_head(self, head: ResponseHead) -> None:
        """Keep the head; a second one is a fault."""
        self._told()
        assert self.head is None
        self.head = head

    def on_body(self, data: bytes) -> None:
        """Keep the part."""
        self._told()
        self.parts += 1
        self.content += data

    def on_end(self, data: bytes, body: BodyFraming) -> None:
        """Keep the last part and the trailers."""
        self._told()
        self.content += data
        if isinstance(body, ChunkedBody):
            self.trailers = body.trailers
        self.whole = True
        self.ended.set()

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """Keep the kind."""
        assert detail
        self._told()
        self.failure = kind
        self.ended.set()

    def on_writable(self, *, writable: bool) -> None:
        """Keep the change."""
        self.writable.append(writable)
        self.changed.set()

    def _told(self) -> None:
        assert not self.ended.is_set(), "told of something after the end"
        self.changed.set()

    async def told(self) -> None:
        """Wait for the next thing."""
        await self.changed.wait()
        self.changed.clear()


class QuittingHandler(RecordingHandler):
    """Gives the exchange up when it hears of `at`: interim, head or body."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at
        self.connection: ClientConnection | None = None

    def on_interim(self, head: ResponseHead) -> None:
        """Give up here, or record."""
        super().on_interim(head)
        self._quit("interim")

    def on_head(self, head: ResponseHead) -> None:
        """Give up here, or record."""
        super().on_head(head)
        self._quit("head")

    def on_body(self, data: bytes) -> None:
        """Give up here, or record."""
        super().on_body(data)
        self._quit("body")

    def _quit(self, at: str) -> None:
        if at == self.at:
            assert self.connection is not None
            self.connection.abort(self)
            self.ended.set()  # from now on anything told is a fault


class BrokenHandler(RecordingHandler):
    """Raises when it is told of a failure."""

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """Break, after recording."""
        super().on_failure(kind, detail)
        raise RuntimeError("a handler that breaks")
