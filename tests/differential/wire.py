"""One connection to a sidecar that takes requests as raw bytes and reads any answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, field names in lower case; its body was read and thrown away."""

    status: int
    fields: dict[str, str]


class Connection:
    """Opened when it is needed, and again after the sidecar has closed it."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = host, int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        """Close it, if it is open."""
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request, read its whole answer. Raises ConnectionError where there is none."""
        kept = self._streams is not None
        try:
            return await self._ask(request)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
            if not kept:
                raise
            return await self._ask(request)  # an idle connection may be closed at any time

    async def _ask(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(request)
        async with asyncio.timeout(_PATIENCE):
            status, fields = await _head(reader)
            while status < 200 and status != 101:
                status, fields = await _head(reader)
            if status == 101 or not await _skip_body(reader, request, status, fields):
                self.close()
        if fields.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, fields)


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _skip_body(
    reader: asyncio.StreamReader, request: bytes, status: int, fields: dict[str, str]
) -> bool:
    """Read the body to its end; return whether the connection goes on after it."""
    if request.startswith(b"HEAD ") or status in {204, 304}:
        return True
    if fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
        return True
    if "content-length" in fields:
        await reader.readexactly(int(fields["content-length"]))
        return True
    await reader.read()
    return False
