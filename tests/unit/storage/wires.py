"""TCP wires between a counter and its Redis: far away, or led to another server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Wire:
    """Passes connections on to `port`, each byte `delay` seconds late, either way.

    A change of `port` holds for new connections, as that of a name does.
    """

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self.port = port
        self.delay = delay
        self.listens = 0
        self.accepted = 0
        self._open = 0
        self._over = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.listens}"

    async def connections(self) -> tuple[int, int]:
        """How many are open, and how many there were."""
        return self._open, self.accepted

    def cut(self) -> None:
        """Reset all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            near.transport.abort()
        else:
            self._open += 1
            self._writers |= {near, far}
            if self._over:
                self.cut()
            await asyncio.gather(self._pass_on(near_reader, far), self._pass_on(far_reader, near))
            self._writers -= {near, far}
            self._open -= 1
        finally:
            self._tasks.discard(task)

    async def end(self) -> None:
        """End all connections, also those that are accepted and not served yet."""
        self._over = True
        for _ in range(10):
            await asyncio.sleep(0)
            self.cut()
            await asyncio.gather(*self._tasks)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                loop.call_later(self.delay, writer.write, data)
        loop.call_later(self.delay, writer.close)


@contextlib.asynccontextmanager
async def wire(port: int, delay: float = 0.0) -> AsyncIterator[Wire]:
    """Run a wire while the block lasts."""
    made = Wire(port, delay)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.listens = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
