"""One GET on a connection of its own, its answer kept whole and within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure
from sidecar.http1.framing import BodyFraming
from sidecar.http1.pool import Pool
from sidecar.http1.response_heads import ResponseHead


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer. `body` is None where it is larger than was asked for."""

    status: int
    body: bytes | None


class FetchFailedError(Exception):
    """The request was sent, and no whole answer came."""

    def __init__(self, kind: PeerFailure, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


async def fetch(pool: Pool, path: str, *, fields: Sequence[tuple[str, str]], limit: int) -> Fetched:
    """Ask for `path`, and read up to `limit` bytes of the answer's body.

    Follows no redirect, and asks the server to compress nothing. Has no timeout of its own.
    Raises ConnectFailedError and FetchFailedError.
    """
    lines = [
        f"GET {path} HTTP/1.1",
        f"host: {pool.origin.authority}",
        *(f"{name}: {text}" for name, text in fields),
        "accept-encoding: identity",
        "connection: close",
    ]
    request = "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")
    connection = await pool.connect()
    answer = _Answer(connection, limit)
    # Not marked as complete, the connection is closed after the answer, whatever the server says.
    connection.start(answer, "GET", request, complete=False)
    try:
        return await answer.result
    finally:
        connection.abort(answer)  # does nothing once the answer has ended


class _Answer:
    """The handler of the one answer."""

    def __init__(self, connection: ClientConnection, limit: int) -> None:
        self.decode = True
        self.result: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._left = limit
        self._status = 0
        self._parts: list[bytes] = []

    def on_interim(self, head: ResponseHead) -> None:
        """Wait on: a 1xx is no answer."""

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """Keep it all."""
        self._status = head.status
        self._end(data if self._keep(data) else None)

    def on_head(self, head: ResponseHead) -> None:
        """Keep the status."""
        self._status = head.status

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body; stop reading past the limit."""
        if self._keep(data):
            return
        self._connection.abort(self)
        self._end(None)

    def on_end(self, data: bytes, body: BodyFraming) -> None:  # noqa: ARG002 - trailers say nothing here
        """Put the body together."""
        self._end(b"".join(self._parts) if self._keep(data) else None)

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """Fail as the connection did."""
        if not self.result.done():
            self.result.set_exception(FetchFailedError(kind, detail))

    def on_writable(self, *, writable: bool) -> None:
        """Hold nothing back: the request is one small write."""

    def _keep(self, data: bytes) -> bool:
        self._left -= len(data)
        self._parts.append(data)
        return self._left >= 0

    def _end(self, body: bytes | None) -> None:
        if not self.result.done():
            self.result.set_result(Fetched(self._status, body))
