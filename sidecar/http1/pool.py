"""Keep-alive connections to one server. State changes are synchronous; only connecting waits."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

from sidecar.domain.stalls import RunningTime
from sidecar.http1.client import ClientConnection
from sidecar.http1.dialling import Dialler, DialOrigin
from sidecar.http1.errors import ConnectFailedError, PeerFailure, connect_failure
from sidecar.http1.resolving import Lookup
from sidecar.http1.tunnel import Proxy

_SWEEP_SECONDS: Final = 0.5
_CLOSE_SECONDS: Final = 30.0
_WRITE_HIGH_WATER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of a pool; times in seconds. `idle_seconds` is below what servers commonly keep.

    `reserve` connections more are there for what asks for one of them (`reserved`).
    `fallback_delay` is what the first address of a name may take before the next one is tried
    beside it; never more than a quarter of `connect_timeout`.
    """

    connections: int = 256
    reserve: int = 0
    idle_seconds: float = 4.0
    connect_timeout: float = 2.0
    fallback_delay: float = 0.25
    max_head_bytes: int = 32768
    max_fields: int = 100


class Pool:
    """Connections to one origin: idle ones newest first, at most `limits.connections` in use."""

    def __init__(
        self,
        origin: DialOrigin,
        limits: PoolLimits,
        context: ssl.SSLContext | None = None,
        *,
        proxy: Proxy | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self.origin = origin
        self._limits = limits
        self._dialler = Dialler(
            origin,
            context=(context or _usual_context()) if origin.tls else None,
            fallback_delay=min(limits.fallback_delay, limits.connect_timeout / 4),
            proxy=proxy,
            lookup=lookup,
        )
        self._idle: list[ClientConnection] = []
        self._all: set[ClientConnection] = set()
        self._connecting = 0
        self._waiters: deque[asyncio.Future[ClientConnection | None]] = deque()
        self._closed = False
        # Bound once: in Python 3.11 each get_running_loop() is a system call, a tenth of a request.
        self._now = asyncio.get_running_loop().time
        self._gone = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def open_connections(self) -> int:
        """How many connections there are, idle or in use."""
        return len(self._all)

    def take(self, *, reserved: bool = False) -> ClientConnection | None:
        """Return an idle connection, or None: then `connect()`."""
        if not reserved and len(self._all) - len(self._idle) >= self._limits.connections:
            return None
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, *, reserved: bool = False) -> ClientConnection:
        """Open a connection, or wait for one where the pool is full.

        Raises ConnectFailedError: not one byte of a request has left then.
        """
        try:
            async with RunningTime(self._limits.connect_timeout):
                while self._is_full(reserved=reserved):
                    connection = await self._next_free()
                    if connection is not None and not connection.transport.is_closing():
                        return connection
                if self._closed:
                    raise ConnectFailedError(PeerFailure.CONNECT, "the pool is closed")
                return await self._open()
        except TimeoutError:
            full = self._is_full(reserved=reserved)
            kind = PeerFailure.POOL_EXHAUSTED if full else PeerFailure.CONNECT_TIMEOUT
            raise ConnectFailedError(kind, f"no connection to {self.origin.authority}") from None

    async def close(self) -> None:
        """Close all connections; those in use are cut off. Waits a second at most for the ends.

        What waits for a connection gets ConnectFailedError.
        """
        self._closed = True
        self._dialler.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._all):
            connection.cut_off()
        while self._wake(None):
            pass
        if self._all:
            try:
                async with asyncio.timeout(1.0):
                    await self._gone.wait()
            except TimeoutError:
                self._all.clear()

    def _is_full(self, *, reserved: bool) -> bool:
        limits = self._limits
        there = len(self._all) + self._connecting
        full = there >= limits.connections + limits.reserve
        if not (full or reserved):
            full = there - len(self._idle) >= limits.connections
        return full and not self._closed

    async def _open(self) -> ClientConnection:
        opened = False
        self._connecting += 1
        try:
            connection = self._new_connection()
            transport = await self._dialler.dial(lambda: cast("asyncio.Protocol", connection))
            opened = not (transport.is_closing() or self._closed)
        except OSError as error:
            kind = PeerFailure.TLS if isinstance(error, ssl.SSLError) else PeerFailure.CONNECT
            detail = f"{self.origin.authority}: {connect_failure(error)}"
            raise ConnectFailedError(kind, detail) from error
        finally:
            self._connecting -= 1
            if not opened:
                self._wake(None)  # the place is free for who waits
        if not opened:  # its end may have been told already: who started on it would wait for ever
            transport.abort()
            detail = f"{self.origin.authority}: the connection was closed as soon as it was open"
            raise ConnectFailedError(PeerFailure.CONNECT, detail)
        transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        self._all.add(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return connection

    def _new_connection(self) -> ClientConnection:
        return ClientConnection(
            self._release,
            self._forget,
            max_head_bytes=self._limits.max_head_bytes,
            max_fields=self._limits.max_fields,
        )

    async def _next_free(self) -> ClientConnection | None:
        """Wait for a connection that comes back, or None when a place is free to open one."""
        waiter: asyncio.Future[ClientConnection | None]
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # passed over already
                    self._waiters.remove(waiter)
            else:  # it was handed one in the same moment
                connection = waiter.result()
                if connection is not None:
                    self._release(connection)
                else:
                    self._wake(None)
            raise

    def _release(self, connection: ClientConnection) -> None:
        if self._closed:
            connection.close()
        elif not (self._waiters and self._in_use() <= self._limits.connections) or not self._wake(
            connection
        ):
            connection.idle_since = self._now()
            self._idle.append(connection)

    def _in_use(self) -> int:
        return len(self._all) - len(self._idle)

    def _forget(self, connection: ClientConnection) -> None:
        if connection in self._all:
            self._all.remove(connection)
            self._wake(None)
            if self._closed and not self._all:
                self._gone.set()

    def _wake(self, connection: ClientConnection | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _sweep(self) -> None:
        """Close what has been idle too long; end what is past its deadline.

        A connection that closes gets one: its transport waits until the server has read all, and a
        server that reads no more would keep its place forever.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        oldest = now - self._limits.idle_seconds
        for connection in self._idle:
            if connection.idle_since < oldest:
                connection.close()
        self._idle = [each for each in self._idle if not each.transport.is_closing()]
        for connection in tuple(self._all):
            if connection.deadline < now:
                connection.expire(PeerFailure.FIRST_BYTE_TIMEOUT)
            elif connection.transport.is_closing():
                connection.deadline = min(connection.deadline, now + _CLOSE_SECONDS)
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._all else None


@cache
def _usual_context() -> ssl.SSLContext:
    """Return what trusts the machine's authorities: made once, for reading them takes 30 ms."""
    return ssl.create_default_context()
