"""A product that does to each request what the request asks for, and keeps a book of them.

The act is the field `x-act`; `x-marker` names the request, so that a test can tell whether it was
executed, and how often. A request is in the book as soon as its head is whole.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, cast

from typing_extensions import override

_RESET: Final = struct.pack("ii", 1, 0)
_ENDLESS: Final = b"4000\r\n" + bytes(0x4000) + b"\r\n"


class Act(StrEnum):
    """What is done once a request is whole (EARLY: once its head is)."""

    OK = "ok"  # 200 with a length
    CHUNKED = "chunked"  # 200 in chunks, each by itself
    UNTIL_CLOSE = "until_close"  # 200 that ends with the connection
    BYE = "bye"  # 200 with a length, then the idle connection is closed without a word
    EARLY = "early"  # 200 before the body was read
    ERROR = "error"  # 500
    HOLD = "hold"  # 200, half of it, the rest when released
    SILENT = "silent"  # nothing until released, then 200
    RESET = "reset"  # the connection is reset
    CLOSE = "close"  # the connection is closed
    CUT = "cut"  # half of what the length promised, then the connection is closed
    CUT_CHUNKS = "cut_chunks"  # chunks without a last one, then the connection is closed
    CUT_RESET = "cut_reset"  # half of what the length promised, then a reset
    GARBAGE = "garbage"  # what is not HTTP
    STREAM = "stream"  # server-sent events, a few, a little apart
    ENDLESS = "endless"  # a body that never ends, as fast as it is read
    SWITCH = "switch"  # 101, then an echo until the other side ends


WHOLE: Final = frozenset(
    {Act.OK, Act.CHUNKED, Act.UNTIL_CLOSE, Act.BYE, Act.EARLY, Act.HOLD, Act.SILENT, Act.STREAM}
)
"""Acts that come to a whole answer below 500."""

BROKEN: Final = frozenset(
    {Act.RESET, Act.CLOSE, Act.CUT, Act.CUT_CHUNKS, Act.CUT_RESET, Act.GARBAGE}
)
"""Acts that come to no whole answer."""


_LEAVING: Final = frozenset({Act.BYE, Act.EARLY})
"""Acts after which the connection is closed for sending alone; see `ObedientProduct.late`."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request whose head was whole."""

    marker: str
    org: str
    target: str
    act: Act


def body_of(marker: str) -> bytes:
    """Return the answer to a request: long enough to be cut, and nobody else's."""
    return f"<{marker}>".encode() * 12


class ObedientProduct:
    """Listens on a free port; `arrivals` is its book, `pause` the seconds between two events."""

    def __init__(self, *, keep: bool = True, pause: float = 0.005, host: str = "127.0.0.1") -> None:
        """With `keep` false, arrivals are only counted.

        By org in `executions`; what they cost, by org and resource, in `units`. A request says its
        cost itself, in `x-units` and `x-resource`: 1 of ai_calls where it does not.
        """
        self.arrivals: list[Arrival] = []
        self.executions: Counter[str] = Counter()
        self.units: Counter[tuple[str, str]] = Counter()
        self.markers: set[str] = set()
        self._late: dict[str, tuple[Arrival, str, int]] = {}
        self.twice: list[str] = []
        self.pause = pause
        self.open: set[_Connection] = set()
        self.released = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self._host = host
        self._keep = keep
        self._server: asyncio.Server | None = None
        self._holder: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it listens, or did."""
        return f"http://{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()
        for connection in tuple(self.open):
            connection.reset()
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self._holder is not None:
            self._holder.close()

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        if self._server is None:
            sock = self._bound()
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self), sock=sock, backlog=4096
            )

    def _bound(self) -> socket.socket:
        """Return a socket on our port, which another keeps from everybody else meanwhile."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((self._host, self.port))
        if self._holder is None:
            self.port = sock.getsockname()[1]
            self._holder = sock
            return self._bound()
        return sock

    async def stop_listening(self) -> None:
        """Refuse connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def release(self) -> None:
        """Let every act go on that waits for it."""
        self.released.set()
        self.released = asyncio.Event()

    def close_idle(self, *, hearing: bool = False) -> None:
        """Close the connections on which nothing is under way.

        With `hearing` only this side is closed: a request that is on its way already would be lost
        on a socket that is closed, and nobody could count it; so it is in `late`.
        """
        for connection in tuple(self.open):
            connection.close_if_idle(hearing=hearing)

    def enter(self, arrival: Arrival, resource: str, units: int) -> None:
        """Write a request into the book."""
        self.executions[arrival.org] += 1
        self.units[arrival.org, resource] += units
        if arrival.marker in self.markers:
            self.twice.append(arrival.marker)
        self.markers.add(arrival.marker)
        if self._keep:
            self.arrivals.append(arrival)

    def enter_late(self, arrival: Arrival, resource: str, units: int) -> None:
        """Note a request that came when this side was closed: it is not executed."""
        self._late[arrival.marker] = arrival, resource, units

    @property
    def late(self) -> list[tuple[Arrival, str, int]]:
        """Requests that came too late and never again: paid for, since they may have been done."""
        return [each for marker, each in self._late.items() if marker not in self.markers]


class _Connection(asyncio.Protocol):
    """One connection; one request at a time, which is all that a sidecar sends."""

    def __init__(self, product: ObedientProduct) -> None:
        self._product = product
        self._buffer = b""
        self._arrival: Arrival | None = None
        self._left = 0  # bytes of the body; -1 for chunks
        self._echoes = False
        self._mute = False
        self._room = asyncio.Event()
        self._room.set()
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._product.open.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._product.open.discard(self)
        self._room.set()

    @override
    def pause_writing(self) -> None:
        self._room.clear()

    @override
    def resume_writing(self) -> None:
        self._room.set()

    def reset(self) -> None:
        """End with a reset."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def close_if_idle(self, *, hearing: bool) -> None:
        """End in order, between two requests."""
        if self._arrival is None and not self._buffer and not self.transport.is_closing():
            self._mute = hearing
            if hearing:
                self.transport.write_eof()
            else:
                self.transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        if self._echoes:
            self.transport.write(data)
            return
        self._buffer += data
        if self._arrival is None:
            self._take_head()
        if self._arrival is not None and self._mute:
            self.transport.close()
        elif self._arrival is not None and self._take_body():
            self._run(self._answer(self._arrival))

    def _take_head(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (e.partition(":") for e in lines)
        }
        self._buffer = rest
        self._left = -1 if "transfer-encoding" in fields else int(fields.get("content-length", "0"))
        self._arrival = Arrival(
            fields.get("x-marker", ""),
            fields.get("x-bb-org-id", ""),
            first.split(" ")[1],
            Act(fields.get("x-act", Act.OK)),
        )
        resource, units = fields.get("x-resource", "ai_calls"), int(fields.get("x-units", "1"))
        enter = self._product.enter_late if self._mute else self._product.enter
        enter(self._arrival, resource, units)
        if self._arrival.act is Act.EARLY:
            self._left = 0
            self._buffer = b""

    def _take_body(self) -> bool:
        """Throw the body away as it comes; True once it is whole."""
        if self._left < 0:
            whole = self._buffer.endswith(b"0\r\n\r\n")
            self._buffer = b"" if whole else self._buffer[-5:]
            return whole
        self._left -= len(self._buffer)
        self._buffer = b""
        return self._left <= 0

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._product.tasks.add(task)
        task.add_done_callback(self._product.tasks.discard)

    async def _answer(self, arrival: Arrival) -> None:  # noqa: C901, PLR0912, PLR0915 - a row for each act
        write, body = self._write, body_of(arrival.marker)
        half = len(body) // 2
        counted = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        closes = True
        match arrival.act:
            case Act.OK | Act.BYE | Act.EARLY:
                write(counted + body)
                closes = False
            case Act.CHUNKED:
                write(chunked)
                for part in (body[:half], body[half:]):
                    write(b"%x\r\n%b\r\n" % (len(part), part))
                    await asyncio.sleep(0)
                write(b"0\r\n\r\n")
                closes = False
            case Act.UNTIL_CLOSE:
                write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
            case Act.ERROR:
                write(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh")
                closes = False
            case Act.HOLD:
                write(counted + body[:half])
                await self._product.released.wait()
                write(body[half:])
                closes = False
            case Act.SILENT:
                await self._product.released.wait()
                write(counted + body)
                closes = False
            case Act.RESET:
                self.reset()
            case Act.CLOSE:
                pass
            case Act.CUT:
                write(counted + body[:half])
            case Act.CUT_CHUNKS:
                write(chunked + b"%x\r\n%b\r\n" % (half, body[:half]))
            case Act.CUT_RESET:
                write(counted + body[:half])
                await asyncio.sleep(0.01)
                self.reset()
            case Act.GARBAGE:
                write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            case Act.STREAM:
                closes = False
                await self._stream(body)
            case Act.ENDLESS:
                await self._pour()
            case Act.SWITCH:
                self._echoes = True
                write(
                    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
                return
        if arrival.act in _LEAVING:
            self._mute = True
            if not self.transport.is_closing():
                self.transport.write_eof()
        elif closes:
            self.transport.close()
        self._arrival = None

    def _write(self, data: bytes) -> None:
        # uvloop raises RuntimeError on a closed transport
        if not self.transport.is_closing():
            self.transport.write(data)

    async def _stream(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        self._write(head + b"\r\n\r\n")
        for start in range(0, len(body), len(body) // 4 + 1):
            part = body[start : start + len(body) // 4 + 1]
            self._write(b"%x\r\n%b\r\n" % (len(part), part))
            await asyncio.sleep(self._product.pause)
        self._write(b"0\r\n\r\n")

    async def _pour(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self.transport.is_closing():
            self.transport.write(_ENDLESS)
            await self._room.wait()
