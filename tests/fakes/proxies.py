"""An HTTP proxy on a real socket: CONNECT, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


class FakeProxy:
    """Keeps each CONNECT head, answers it with `answer`, and joins both sides where that is 200.

    `to`: the port of loopback that every tunnel leads to, whatever host was asked for.
    """

    def __init__(self) -> None:
        self.port = 0
        self.to = 0
        self.answer = OPEN
        self.heads: list[str] = []

    @property
    def url(self) -> str:
        """The proxy's URL."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection to its end."""
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answer)
            if b" 200 " not in self.answer:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
            with contextlib.closing(far_writer):
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def proxying() -> AsyncIterator[FakeProxy]:
    """Run a proxy for the length of a block."""
    proxy = FakeProxy()
    tasks: set[asyncio.Task[None]] = set()

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
