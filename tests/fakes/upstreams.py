"""Products on raw sockets: what they answer is scripted byte by byte; what they got is kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Self

import h11


class Ending(Enum):
    """What an upstream does to its connection instead of sending bytes."""

    CLOSE = "close"
    RESET = "reset"
    HOLD = "hold"  # says nothing more until the other side closes


Step = bytes | float | Ending
"""Bytes to send, seconds to pause, or what to do to the connection."""

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass
class Received:
    """One request as an independent parser (h11) read it."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every field of that name, in order."""
        return [value for key, value in self.headers if key == name]


Answer = Callable[[Received], Sequence[Step]]


class _Listening:
    """A listener on a free port that keeps the bytes of every connection."""

    def __init__(self) -> None:
        self.bytes: list[bytearray] = []
        self.ended = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def untouched(self) -> bool:
        """Whether not one byte has come."""
        return not any(self.bytes)

    @property
    def open_connections(self) -> int:
        """How many connections have not ended yet."""
        return len(self.bytes) - self.ended

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._own(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(lambda _: writer.close())  # also of one that never ran

    async def _own(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = bytearray()
        self.bytes.append(got)
        try:
            with contextlib.suppress(ConnectionError):
                await self._serve(reader, writer, got)
        finally:
            self.ended += 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: bytearray
    ) -> None:
        raise NotImplementedError


class ScriptedUpstream(_Listening):
    """Reads requests with h11, refuses none that is well formed, and answers each by `answer`.

    The answer starts when the request is whole, or with `early` when its head is. A request that
    h11 cannot read is kept in `broken`, and its connection closed.
    """

    def __init__(self, answer: Answer | bytes = OK, *, early: bool = False) -> None:
        super().__init__()
        fixed = answer
        self._answer: Answer = (lambda _: [fixed]) if isinstance(fixed, bytes) else fixed
        self._early = early
        self.requests: list[Received] = []
        self.broken: list[str] = []

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: bytearray
    ) -> None:
        parser = h11.Connection(h11.SERVER)
        request = Received("", b"", [])
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                self.broken.append(str(error))
                return
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                got += data
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                headers = [(bytes(name), bytes(value)) for name, value in event.headers]
                request = Received(event.method.decode(), bytes(event.target), headers)
                self.requests.append(request)
                if self._early and not await self._play(request, reader, writer, got):
                    return
            elif isinstance(event, h11.Data):
                request.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                request.trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
                request.complete = True
                if not self._early and not await self._play(request, reader, writer, got):
                    return
                _next_request(parser)
            else:
                return

    async def _play(
        self,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        got: bytearray,
    ) -> bool:
        """Act out the answer; say whether the connection goes on."""
        for step in self._answer(request):
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step is Ending.HOLD:
                while data := await reader.read(65536):
                    got += data
                return False
            else:
                if step is Ending.RESET:
                    reset_on_close(writer)
                return False
        return True


class EndlessUpstream(_Listening):
    """Answers every request with a body that never ends, as fast as it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: bytearray
    ) -> None:
        got += await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        while True:
            writer.write(block)
            await writer.drain()
            self.sent += len(block)


class DeafUpstream(_Listening):
    """Reads the head of a request, and never again until `listen` is set; then answers."""

    def __init__(self) -> None:
        super().__init__()
        self.listen = asyncio.Event()
        self.heard = asyncio.Event()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: bytearray
    ) -> None:
        got += await reader.readuntil(b"\r\n\r\n")
        self.heard.set()
        await self.listen.wait()
        while not got.endswith(b"\r\n0\r\n\r\n"):
            data = await reader.read(65536)
            if not data:
                return
            got += data
        writer.write(OK)


class HeldUpstream(_Listening):
    """Answers its first request when `answer` is set, and every other at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: bytearray
    ) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            got += head
            self.asked.set()
            await self.answer.wait()
            writer.write(OK)


class TunnellingUpstream(_Listening):
    """Switches protocols, then echoes in upper case until it reads `bye`, and closes."""

    def __init__(self, early: bytes = b"", protocol: bytes = b"websocket") -> None:
        super().__init__()
        self._early = early
        self._protocol = protocol

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: bytearray
    ) -> None:
        got += await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
            b"Content-Length: 0\r\n\r\n%b" % (self._protocol, self._early)
        )
        while not got.endswith(b"bye"):
            data = await reader.read(65536)
            if not data:
                return
            got += data
            writer.write(data.upper())
            await writer.drain()


class RefusingPort:
    """A port that nobody listens on, and nobody else gets meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()


def _next_request(parser: h11.Connection) -> None:
    """Let the parser believe in an answer of its own: what was sent is the script's."""
    parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    parser.send(h11.EndOfMessage())
    parser.start_next_cycle()


def reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Have the coming close send a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
