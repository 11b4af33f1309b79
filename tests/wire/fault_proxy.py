"""A TCP proxy that spoils connections on purpose, and exactly: to the byte, on either way.

It sits between any two of client, sidecar, product and platform. What it does to a connection is
fixed when the connection is accepted, so that a change hits those that come after it.
"""

from __future__ import annotations

import asyncio
import fcntl
import random
import socket
import struct
import termios
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Self, assert_never, cast

from typing_extensions import override

_READ: Final = 65536
_HELD: Final = 256 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
_DELIVERY_SECONDS: Final = 1.0


class Ending(Enum):
    """What happens once so many bytes have passed one way."""

    FIN = auto()  # both sides are closed in order
    RST = auto()  # both sides are reset
    BLACK_HOLE = auto()  # nothing passes any more, either way, and nobody is told


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to the bytes that go one way.

    `latency` and `jitter` in seconds, added before each piece; a piece has at most `piece` bytes.
    After exactly `stops_after` bytes comes the `ending`; with 0, when the first one comes.
    """

    latency: float = 0.0
    jitter: float = 0.0
    piece: int = _READ
    stops_after: int | None = None
    ending: Ending = Ending.RST


@dataclass(frozen=True, slots=True)
class Wire:
    """What happens to one connection.

    `connects_after`: seconds until the far side is called. `half_open`: it never is, and what the
    near side sends is read and thrown away. `there` is towards the far side, `back` from it.
    """

    connects_after: float = 0.0
    half_open: bool = False
    there: Way = field(default_factory=Way)
    back: Way = field(default_factory=Way)


CLEAN: Final = Wire()


@dataclass
class Passage:
    """What went over one connection: bytes read from the near side, and bytes passed each way."""

    wire: Wire
    heard: bytearray = field(default_factory=bytearray)
    there: int = 0
    back: int = 0
    over: bool = False


class FaultProxy:
    """Listens on a free port and passes everything on to `target`, as `wire` says."""

    def __init__(self, target: int = 0, *, keep: bool = True) -> None:
        """Pass on to port `target` of this machine; `keep` a book of the passages."""
        self.target = target
        self.port = 0
        self.wire: Wire | Callable[[int], Wire] = CLEAN
        self.passages: list[Passage] = []
        self.accepted = 0
        self.ended: Callable[[Passage], None] | None = None
        self._keep = keep
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], _Side] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections it still holds."""
        return len(self._serving)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Side(self._accepted), "127.0.0.1", 0, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = tuple(self._serving)
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection there is."""
        for task, near in tuple(self._serving.items()):
            near.reset()
            task.cancel()

    def _accepted(self, near: _Side) -> None:
        wire = self.wire(self.accepted) if callable(self.wire) else self.wire
        self.accepted += 1
        passage = Passage(wire)
        if self._keep:
            self.passages.append(passage)
        task = asyncio.ensure_future(self._serve(near, passage))
        self._serving[task] = near
        task.add_done_callback(self._serving.pop)

    async def _serve(self, near: _Side, passage: Passage) -> None:
        wire = passage.wire
        far: _Side | None = None
        try:
            if wire.half_open:
                while data := await near.read():
                    passage.heard += data
                return
            if wire.connects_after:
                await asyncio.sleep(wire.connects_after)
            _, far = await asyncio.get_running_loop().create_connection(
                lambda: _Side(None), "127.0.0.1", self.target
            )
            await self._pass_on(near, far, passage)
        except OSError:  # nobody listens there
            near.reset()
        except asyncio.CancelledError:
            near.reset()
            if far is not None:
                far.reset()
            raise
        finally:
            await _close(near, *([] if far is None else [far]))
            passage.over = True
            if self.ended is not None:
                self.ended(passage)

    async def _pass_on(self, near: _Side, far: _Side, passage: Passage) -> None:
        there = asyncio.ensure_future(self._there(near, far, passage))
        back = asyncio.ensure_future(self._back(far, near, passage))
        ways = {there: passage.wire.there, back: passage.wire.back}
        try:
            waiting = set(ways)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task.result():  # its bytes have passed: the ending comes
                        for other in waiting:
                            other.cancel()
                        await _end(ways[task].ending, near, far)
                        return
                if near.was_reset or far.was_reset:
                    await asyncio.gather(near.delivered(), far.delivered())
                    near.reset()
                    far.reset()
        finally:
            for task in ways:
                task.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _there(self, near: _Side, far: _Side, passage: Passage) -> bool:
        def passed(count: int) -> None:
            passage.there += count

        return await _pump(near, far, passage.wire.there, passed, passage.heard.extend)

    async def _back(self, far: _Side, near: _Side, passage: Passage) -> bool:
        def passed(count: int) -> None:
            passage.back += count

        def heard(_: bytes) -> None:
            if near.gone:  # a kernel would answer what comes for it with a reset
                far.reset()

        return await _pump(far, near, passage.wire.back, passed, heard)


class _Side(asyncio.Protocol):
    """One of the two connections: what came is kept until it is read, a reset comes after it."""

    def __init__(self, made: Callable[[_Side], None] | None) -> None:
        self.was_reset = False
        self._made = made
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._over = False
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """What it stands for."""
        assert self._transport is not None
        return self._transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._made is not None:
            self._made(self)

    @override
    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)
        self._moved.set()
        if self._held > _HELD:
            self.transport.pause_reading()

    @override
    def eof_received(self) -> bool:
        self._over = True
        self._moved.set()
        return True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.was_reset = exc is not None
        self._over = True
        self._moved.set()
        self._room.set()
        self._lost.set_result(None)

    @override
    def pause_writing(self) -> None:
        self._room.clear()

    @override
    def resume_writing(self) -> None:
        self._room.set()

    async def read(self) -> bytes:
        """Return the next piece as it came; nothing when the side has ended."""
        while not self._pieces and not self._over:
            self._moved.clear()
            await self._moved.wait()
        if not self._pieces:
            return b""
        data = self._pieces.popleft()
        self._held -= len(data)
        if self._held <= _HELD and not self._over and not self.transport.is_closing():
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send, no faster than it is taken; nothing once the side is gone."""
        if not self.transport.is_closing():
            self.transport.write(data)
        await self._room.wait()

    @property
    def gone(self) -> bool:
        """Whether the peer has closed its socket, and not its sending side alone."""
        return self._lost.done()

    async def swallow(self) -> None:
        """Read and forget until the side has ended."""
        while await self.read():
            continue

    def end_writing(self) -> None:
        """Send a FIN."""
        if not self.transport.is_closing():
            self.transport.write_eof()

    async def delivered(self) -> None:
        """Wait until the peer's kernel has all that was sent: a reset would destroy the rest."""
        sock = self.transport.get_extra_info("socket")
        loop = asyncio.get_running_loop()
        end = loop.time() + _DELIVERY_SECONDS
        while loop.time() < end and not self.transport.is_closing():
            unsent = self.transport.get_write_buffer_size()
            if (
                not unsent
                and not struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"0000"))[0]
            ):
                return
            await asyncio.sleep(0.001)

    def reset(self) -> None:
        """End with a reset."""
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done once the connection has ended."""
        return self._lost


async def _pump(
    source: _Side,
    sink: _Side,
    way: Way,
    passed: Callable[[int], None],
    heard: Callable[[bytes], None],
) -> bool:
    """Pass bytes on; True when the way has come to its stop, False when the source has ended.

    Bytes beyond the stop are read, so that the sender knows them delivered, and go nowhere.
    """
    left = way.stops_after
    while data := await source.read():
        heard(data)
        for start in range(0, len(data), way.piece):
            piece = data[start : start + way.piece][:left]
            if left is not None:
                left -= len(piece)
            if way.latency or way.jitter:
                wait = way.latency + way.jitter * random.random()  # noqa: S311 - no secret
                await asyncio.sleep(wait)
            await sink.write(piece)
            passed(len(piece))
            if left == 0:
                await sink.delivered()
                return True
    if not source.was_reset:
        sink.end_writing()
    return False


async def _close(*sides: _Side) -> None:
    """End in order, and wait for that; what does not end in time is cut."""
    for side in sides:
        side.transport.close()
    try:
        await asyncio.wait([side.lost for side in sides], timeout=_DELIVERY_SECONDS)
    finally:
        for side in sides:
            side.transport.abort()


async def _end(ending: Ending, near: _Side, far: _Side) -> None:
    match ending:
        case Ending.FIN:
            near.end_writing()
            far.end_writing()
        case Ending.RST:
            near.reset()
            far.reset()
        case Ending.BLACK_HOLE:
            await near.swallow()
        case _:
            assert_never(ending)
