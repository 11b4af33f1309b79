"""A product that does nothing but count who calls it: cheap enough to keep up with the sidecar."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, Self, cast

from typing_extensions import override

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"
_ORG: Final = b"x-bb-org-id:"
_LENGTH: Final = b"content-length:"
_MARKER: Final = b"x-marker:"


class CountingUpstream:
    """Answers every request `delay` seconds after it came; `executions` counts them by org.

    A request counts as soon as its head is whole. The answer is the field `x-marker`, else "ok".
    With `split`, the last byte of every second answer is sent by itself.
    """

    def __init__(self, *, delay: float = 0.0, split: bool = False) -> None:
        self.executions: Counter[str] = Counter()
        self.delay = delay
        self.split = split
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self, self._open), "127.0.0.1", 0, backlog=1024
        )
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for transport in tuple(self._open):
            transport.abort()
        await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One request at a time, with a body of known length: what the sidecar sends here."""

    def __init__(self, upstream: CountingUpstream, open_: set[asyncio.Transport]) -> None:
        self._upstream = upstream
        self._open = open_
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._fields: dict[bytes, bytes] | None = None
        self._turn = 0
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._open.add(self._transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._open.discard(self._transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if self._fields is None:
            self._fields = _fields_of(head)
            self._upstream.executions[self._fields.get(_ORG, b"").decode()] += 1
        if len(body) < int(self._fields.get(_LENGTH, b"0")):
            return
        words = self._fields.get(_MARKER, b"ok")
        self._buffer, self._fields = b"", None
        self._loop.call_later(self._upstream.delay, self._answer, _ANSWER % (len(words), words))

    def _answer(self, answer: bytes) -> None:
        self._turn += 1
        if self._upstream.split and self._turn % 2:
            self._write(answer[:-1])
            self._loop.call_soon(self._write, answer[-1:])
        else:
            self._write(answer)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)


def _fields_of(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.lower() + b":": value.strip() for name, _, value in pairs}
