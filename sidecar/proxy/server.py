"""The listening side: connections and their bounds, deadlines, the drain."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import lru_cache, partial
from typing import Final, Protocol, cast

from sidecar.domain.ports import RequestObserver
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import WEBSOCKET, RequestHead
from sidecar.http1.listening import listen
from sidecar.http1.shared_lines import kept_for, via_lines
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.drain import Drain
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.expiry import expire
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.outbox import Outbox
from sidecar.proxy.own_answers import OwnAnswers
from sidecar.settings.sections import Limits
from sidecar.settings.values import Network

log = logging.getLogger("sidecar.proxy")

_SWEEP_SECONDS: Final = 0.5
_TURNED_AWAY: Final = 64
"""Clients over the cap that may linger, so that they read their 503; more are closed at once."""

_PIPELINED: Final = 64 * 1024
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds, seconds and times: a client whose machine has vanished is noticed in two minutes."""


class Plane(Protocol):
    """What answers requests: the gateway, or a door."""

    @property
    def answers(self) -> OwnAnswers:
        """What answers a client that never got as far as a request."""

    @property
    def drain(self) -> Drain:
        """What counts requests, and ends."""

    @property
    def memory(self) -> BodyMemory:
        """What bodies are held in."""

    def serve(self, exchange: Exchange) -> Coroutine[None, None, None]:
        """Answer one request, and end its exchange whatever happens."""


class Server:
    """Accepts connections for one plane and ends them in time."""

    def __init__(
        self,
        plane: Plane,
        *,
        limits: Limits,
        trusted: Sequence[Network],
        observer: RequestObserver,
        backlog: int = 128,
        upgrades: Iterable[str] = (),
        via: str | None = None,
    ) -> None:
        """Serve with the plane.

        At most `backlog` connections wait to be accepted, and may be so all at once. Clients may
        switch to `upgrades` beside WebSocket; `via` is this proxy's name in the Via field.
        """
        self._drain = plane.drain
        self.memory = plane.memory
        self._serve = plane.serve
        self._loop = asyncio.get_running_loop()
        self._run = _runner(self._loop)
        self.outbox = Outbox(self._loop.call_soon)
        self._connections: set[ServerConnection] = set()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._backlog = backlog
        self._most = limits.max_connections + min(_TURNED_AWAY, backlog)
        self.limits = limits
        self.upgrades = WEBSOCKET.union(each.encode("ascii").lower() for each in upgrades)
        self.keep_alive = kept_for(limits.idle_timeout)
        self.via = via_lines(via)
        self.body_idle = limits.body_idle_timeout or float("inf")
        self.request_timeout = limits.request_timeout or float("inf")
        self.answer_idle = limits.answer_idle_timeout or float("inf")
        self.patience = limits.body_idle_timeout or limits.idle_timeout
        self.room = max(_PIPELINED, limits.max_head_bytes)
        self.now = self._loop.time
        answers = plane.answers
        self.refuse_unparsed: Callable[[ServerConnection, ProtocolError], None]
        self.refuse_unparsed = answers.refuse_unparsed
        self.refuse_overloaded: Callable[[ServerConnection], None] = answers.refuse_overloaded
        self.connection_closed: Callable[[str], None] = observer.connection_closed
        self.is_trusted: Callable[[str], bool] = lru_cache(maxsize=1024)(
            lambda host: is_in(host, trusted)
        )

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen; return the port, which matters where it was given as 0."""
        self._listener = await listen(
            lambda: cast("asyncio.Protocol", ServerConnection(self)),
            host,
            port,
            backlog=self._backlog,
            reuse_port=reuse_port,
        )
        for each in self._listener.sockets:
            _keep_alive(each)
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def begin_drain(self) -> None:
        """Refuse new requests; let those under way finish; close what is idle."""
        if not self._drain.draining:
            self._drain.begin()
            for connection in tuple(self._connections):
                connection.drain()

    async def drain(self, seconds: float) -> bool:
        """Drain for at most `seconds`, then cut what is left; True when nothing was cut.

        The port stays open meanwhile: a client that does not know yet is answered 503 rather than
        refused the connection.
        """
        self.begin_drain()
        whole = await self._drain.wait(seconds)
        if not whole:
            log.warning("drain_cut_off", extra={"requests": self._drain.inflight})
        await self.close()
        return whole

    def hurry(self) -> None:
        """End a drain now: what is still under way is cut off."""
        self._drain.hurry()

    async def close(self) -> None:
        """Stop listening and end all connections; waits for their exchanges to end."""
        if self._listener is not None:
            self._listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.outbox.flush()
        for connection in tuple(self._connections):
            if connection.exchange is None:
                connection.transport.close()
            else:
                connection.abort()
        self._drain.begin()
        await self._drain.wait(2.0)
        if self._connections:
            try:
                async with asyncio.timeout(2.0):
                    await self._empty.wait()
            except TimeoutError:
                log.warning("connections_left", extra={"connections": len(self._connections)})
                for connection in tuple(self._connections):
                    connection.abort()

    # what a connection asks for

    def opened(self, connection: ServerConnection) -> None:
        """Count a connection in; over the cap it is answered 503 and closed."""
        self._connections.add(connection)
        self._empty.clear()
        if len(self._connections) > self.limits.max_connections:
            self.connection_closed("over_limit")
            connection.turn_away()
            if len(self._connections) > self._most:
                connection.transport.close()

    def closed(self, connection: ServerConnection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def begin(
        self, connection: ServerConnection, head: RequestHead, body: InboundBody | None
    ) -> None:
        """Answer one request in a task that its exchange owns: at once, as far as it gets."""
        connection.exchange = exchange = Exchange(
            connection, head, body, keep=not self._drain.draining
        )
        self.outbox.gathers = self._drain.inflight > 0
        exchange.task = self._run(self._serve(exchange))

    def sweep_soon(self, seconds: float) -> None:
        """Sweep once earlier than usual: a short deadline was set."""
        self._loop.call_later(seconds + 0.01, self._expire)

    def _sweep(self) -> None:
        self._expire()
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _expire(self) -> None:
        now = self._loop.time()
        for connection in [each for each in self._connections if each.moved]:
            connection.moved = False
            connection.watch()
        for connection in [each for each in self._connections if each.deadline < now]:
            expire(connection)


def _runner(
    loop: asyncio.AbstractEventLoop,
) -> Callable[[Coroutine[None, None, None]], asyncio.Task[None]]:
    """Return what runs a coroutine: from Python 3.12 on, at once until it waits for something."""
    if sys.version_info >= (3, 12):
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return loop.create_task


def _keep_alive(listener: socket.socket) -> None:
    """Have the kernel probe silent clients; accepted sockets inherit it, at no cost each."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not every system has all three
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def is_in(host: str, networks: Sequence[Network]) -> bool:
    """Whether an IP address is in one of these networks; an IPv4 address may be written as IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
