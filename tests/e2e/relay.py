"""A wire that is tapped: a TCP relay that records every byte, each way.

`target` is `http://host:port`, or `unix:` and the path of a socket. With a `context` the wire
to the relay is encrypted, and what it records is what was said.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Self

_BLOCK = 65536


class Relay:
    """Passes connections on to `target`; `sent` and `answered` are all bytes of all of them."""

    def __init__(self, target: str, context: ssl.SSLContext | None = None) -> None:
        self.target = target
        self._context = context
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.sent = bytearray()
        self.answered = bytearray()

    @property
    def everything(self) -> bytes:
        """The bytes of both ways."""
        return bytes(self.sent + self.answered)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=self._context)
        scheme = "http" if self._context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            beyond, there = await self._connect()
            try:
                await asyncio.gather(
                    _copy(reader, there, self.sent), _copy(beyond, writer, self.answered)
                )
            finally:
                there.transport.abort()
        except OSError:
            return  # one side is gone, and so is the other
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.target.startswith("unix:"):
            return await asyncio.open_unix_connection(self.target.removeprefix("unix:"))
        host, _, port = self.target.removeprefix("http://").partition(":")
        return await asyncio.open_connection(host, int(port))


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray
) -> None:
    while data := await reader.read(_BLOCK):
        record += data
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
