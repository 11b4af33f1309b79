"""A product that does nothing but count who calls it: cheap enough to keep up with the sidecar."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, Self, cast

from typing_extensions import override

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_ORG: Final = b"x-bb-org-id:"
_LENGTH: Final = b"content-length:"


class CountingUpstream:
    """Answers every request `delay` seconds after it came; `executions` counts them by org."""

    def __init__(self, *, delay: float = 0.0) -> None:
        self.executions: Counter[str] = Counter()
        self.delay = delay
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
        fields = {b"": b""}
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            fields[name.lower() + b":"] = value.strip()
        if len(body) < int(fields.get(_LENGTH, b"0")):
            return
        self._buffer = b""
        self._upstream.executions[fields.get(_ORG, b"").decode()] += 1
        self._loop.call_later(self._upstream.delay, self._answer)

    def _answer(self) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)
