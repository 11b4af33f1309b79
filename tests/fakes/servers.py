"""Servers whose every byte is scripted, named by how they misbehave, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class FakeOrigin:
    """`sidecar.http1.dialling.Origin` on loopback; a test may move it to another port."""

    port: int
    host: str = "127.0.0.1"
    tls: bool = False

    @property
    def authority(self) -> str:
        """The value of Host."""
        return f"{self.host}:{self.port}"


@dataclass(eq=False, slots=True)
class Visit:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def head(self) -> bytes:
        """Read up to the end of a request's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    def reset(self) -> None:
        """End the connection with a reset, not with an end of stream."""
        self.writer.transport.abort()


Script = Callable[[Visit], Awaitable[None]]


@dataclass(slots=True)
class ScriptedServer:
    """Plays a script to each connection, and keeps the connections in order of arrival."""

    origin: FakeOrigin
    visits: list[Visit] = field(default_factory=list)
    arrivals: asyncio.Queue[Visit] = field(default_factory=asyncio.Queue)
    """The same connections, for a test that waits for the next one."""


@contextlib.asynccontextmanager
async def serving(
    script: Script, context: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Listen on a free port of loopback and play `script` to whoever comes, until the block ends.

    A script that returns leaves its connection open; one that fails fails the test.
    """
    faults: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()
    running = ScriptedServer(FakeOrigin(0, tls=context is not None))

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(reader, writer)
        running.visits.append(visit)
        running.arrivals.put_nowait(visit)
        try:
            await script(visit)
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away first, which its own test looks at
        except Exception as error:  # noqa: BLE001 - told to the test below
            faults.append(error)
        finally:
            visit.ended.set()
            writer.close()

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(play(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(come, "127.0.0.1", 0, ssl=context)
    running.origin.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
    assert faults == [], faults


def answering(*answers: bytes) -> Script:
    """Answer one request after the other, then say nothing more. It behaves."""

    async def script(visit: Visit) -> None:
        for answer in answers:
            await visit.head()
            visit.writer.write(answer)

    return script


def closing_after(answer: bytes) -> Script:
    """Answer, and end the stream at once."""

    async def script(visit: Visit) -> None:
        await visit.head()
        visit.writer.write(answer)
        visit.writer.close()

    return script


def resetting_after(answer: bytes, heard: asyncio.Event) -> Script:
    """Answer, and reset the connection once the client has `heard` it."""

    async def script(visit: Visit) -> None:
        await visit.head()
        visit.writer.write(answer)
        await heard.wait()
        visit.reset()

    return script


def speaking_first(data: bytes) -> Script:
    """Send something that nobody asked for."""

    async def script(visit: Visit) -> None:
        visit.writer.write(data)

    return script


def adding(answer: bytes, late: bytes, after: asyncio.Event) -> Script:
    """Answer, and after a while send more that belongs to nobody."""

    async def script(visit: Visit) -> None:
        await visit.head()
        visit.writer.write(answer)
        await after.wait()
        visit.writer.write(late)

    return script


def not_reading(answer: bytes, after: asyncio.Event) -> Script:
    """Answer a request whose body is left unread until `after`."""

    async def script(visit: Visit) -> None:
        await visit.head()
        visit.writer.write(answer)
        visit.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await after.wait()
        visit.reader._transport.resume_reading()  # type: ignore[attr-defined]

    return script


def echoing(answer: bytes) -> Script:
    """Answer, then send back whatever comes, and close when the client says bye."""

    async def script(visit: Visit) -> None:
        await visit.head()
        visit.writer.write(answer)
        while (data := await visit.reader.read(65536)) != b"bye":
            visit.writer.write(data)
        visit.writer.close()

    return script


async def silent(visit: Visit) -> None:
    """Read, and never say a word."""


@contextlib.contextmanager
def never_accepting(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Give a port whose queue is full: to connect to it takes for ever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield port


def refused_port() -> int:
    """Return a port of loopback where nobody listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        port: int = once.getsockname()[1]
    return port
