"""The whole data plane on a stage: a real server and pool on real sockets, fakes on either side.

What holds for every play is asked when it ends: each permit was settled once, nobody is in flight,
no socket is open and no task is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.http1.pool import Pool, PoolLimits
from sidecar.proxy.gateway import PROBES, Gateway
from sidecar.proxy.server import Server
from sidecar.settings.sections import Limits
from sidecar.settings.values import parse_origin
from tests.fakes.engines import AllowingEngine, RememberingRequests
from tests.fakes.upstreams import ScriptedUpstream, reset_on_close
from tests.loops import pass_time, settle

PATIENCE = 20.0
"""Seconds after which a test gives up; nothing here takes as long, also on a busy machine."""

LINUX = sys.platform == "linux"
SIOCOUTQ = termios.TIOCOUTQ
"""Asks how many bytes that were sent the other side has not acknowledged."""

PROVABLE = hasattr(socket, "TCP_INFO")
"""Whether this system's kernel tells what a peer has acknowledged: without it, no second try."""

AT_ONCE = 48
"""Connections that a table of cut requests uses at the same time."""


class SystemClock:
    """`sidecar.domain.ports.Clock`, as time goes."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()


@dataclass
class Answer:
    """One answer as a client reads it; names in lower case."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every field of that name, in order."""
        return [value for key, value in self.headers if key == name]


class Client:
    """A client on one connection, that sends bytes as they are given and reads strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes, pause: float = 0.002) -> None:
        """Send each part in a packet of its own."""
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(pause)
            self.writer.write(part)
            await self.writer.drain()

    async def delivered(self) -> None:
        """Wait until the sidecar's kernel has all that was sent, and it has read what it reads."""
        sent = self.writer.get_extra_info("socket").fileno()
        await eventually(lambda: not LINUX or not any(fcntl.ioctl(sent, SIOCOUTQ, bytes(4))))
        await settle()

    async def answer(self, method: str = "GET") -> Answer:
        """Read one answer, of which nothing may be missing (IncompleteReadError)."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            _, status, reason = line.split(b" ", 2)
            answer = Answer(int(status), reason, [_field(each) for each in fields])
            if method == "HEAD" or answer.status < 200 or answer.status in {204, 304}:
                return answer
            if answer.values(b"transfer-encoding") == [b"chunked"]:
                await self._read_chunks(answer)
            elif lengths := answer.values(b"content-length"):
                (length,) = lengths
                answer.body = await self.reader.readexactly(int(length))
            else:
                answer.body = await self.reader.read()
        return answer

    async def _read_chunks(self, answer: Answer) -> None:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            answer.body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            answer.trailers.append(_field(line[:-2]))

    async def rest(self) -> bytes:
        """Read until the other side closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def rest_in(self, seconds: float) -> bytes:
        """Let at most `seconds` pass on the loop's clock; return all until the end."""
        await self.delivered()
        reading = asyncio.ensure_future(self.rest())
        await pass_time(seconds, reading.done)
        return await reading

    def reset(self) -> None:
        """Go away without a goodbye."""
        reset_on_close(self.writer)
        self.writer.transport.abort()


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


class Upstream(Protocol):
    """Where the product is."""

    port: int


class Stage:
    """A running data plane, and everything around it."""

    def __init__(
        self,
        engine: AllowingEngine,
        upstream_port: int,
        limits: Limits,
        trusted: Iterable[str],
        *,
        upgrades: Iterable[str] = (),
        via: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.engine = engine
        self.observer = RememberingRequests()
        self.pool = Pool(
            parse_origin(f"http{'s' if context else ''}://127.0.0.1:{upstream_port}"),
            PoolLimits(
                connections=limits.upstream_connections or limits.max_inflight,
                reserve=PROBES,
                connect_timeout=limits.connect_timeout,
            ),
            context,
        )
        self.gateway = Gateway(
            engine=engine,
            upstream=self.pool,
            clock=SystemClock(),
            observer=self.observer,
            max_inflight=limits.max_inflight,
            first_byte_timeout=limits.first_byte_timeout,
            nonce="stage",
        )
        self.server = Server(
            self.gateway,
            limits=limits,
            trusted=[ipaddress.ip_network(each) for each in trusted],
            observer=self.observer,
            upgrades=upgrades,
            via=via,
        )
        self.port = 0

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect a client for as long as the block lasts."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def talk_for(self, seconds: float, *parts: bytes) -> bytes:
        """Send parts, let `seconds` pass on the loop's clock; return all until it is closed."""
        async with self.client() as client:
            await client.send(*parts)
            return await client.rest_in(seconds)

    async def talk(self, *parts: bytes) -> bytes:
        """Send parts on a connection of their own; return all that comes until it is closed."""
        async with self.client() as client:
            # It may close before the last part; what it had said is here even so.
            with contextlib.suppress(ConnectionError):
                await client.send(*parts)
            try:
                return await client.rest()
            except BrokenPipeError:
                return bytes(client.reader._buffer)  # type: ignore[attr-defined]

    async def ask(self, *parts: bytes, method: str = "GET") -> Answer:
        """Send parts on a connection of their own; return the one answer."""
        async with self.client() as client:
            await client.send(*parts)
            return await client.answer(method)


async def eventually(holds: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait until something holds; fail when it does not within so many seconds."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"not within {within:.0f} s"
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def staged(
    engine: AllowingEngine | None = None,
    upstream: Upstream | None = None,
    *,
    limits: Limits | None = None,
    trusted: Sequence[str] = (),
    upgrades: Sequence[str] = (),
    via: str | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Stage]:
    """Run the data plane for a block, before `upstream` or one that says ok.

    With a `context` it talks to the upstream over TLS.
    """
    async with contextlib.AsyncExitStack() as stack:
        if upstream is None:
            upstream = await stack.enter_async_context(ScriptedUpstream())
        before = asyncio.all_tasks()
        engine = engine or AllowingEngine()
        limits = limits or Limits()
        stage = Stage(
            engine, upstream.port, limits, trusted, upgrades=upgrades, via=via, context=context
        )
        stage.port = await stage.server.start("127.0.0.1", 0)
        try:
            yield stage
        finally:
            await stage.server.close()
            await stage.pool.close()
        assert stage.gateway.drain.inflight == 0
        assert stage.server.open_connections == 0
        assert stage.pool.open_connections == 0
        assert stage.engine.settled_once()
        ours = [task for task in asyncio.all_tasks() - before if "Gateway.serve" in repr(task)]
        assert ours == []


def cut_everywhere(data: bytes) -> list[tuple[bytes, ...]]:
    """Return every way to send `data`: whole, in two packets, and byte by byte."""
    ways: list[tuple[bytes, ...]] = [(data,)]
    ways += [(data[:cut], data[cut:]) for cut in range(1, len(data))]
    ways.append(tuple(data[at : at + 1] for at in range(len(data))))
    return ways


async def talk_every_way(stage: Stage, data: bytes) -> set[tuple[int, ...]]:
    """Send `data` in every way, on a connection each; return the different runs of statuses."""
    room = asyncio.Semaphore(AT_ONCE)

    async def once(parts: tuple[bytes, ...]) -> tuple[int, ...]:
        async with room:
            return statuses(await stage.talk(*parts))

    return set(await asyncio.gather(*map(once, cut_everywhere(data))))


def statuses(came: bytes) -> tuple[int, ...]:
    """Return the statuses of the answers in what came, in order."""
    return tuple(int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", came))
