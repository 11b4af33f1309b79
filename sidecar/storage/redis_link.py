"""A connection to one Redis server that is kept open, tested, and opened again when it fails.

A call never waits for a connection: it is made in the background. Calls do not wait for each other
either: their commands are sent at once, one after another, on the same connection (a pipeline).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.redis_url import RedisUrl
from sidecar.storage.causes import CONNECTION_FAULTS, LinkError, cause_of
from sidecar.storage.redis_session import RedisSession
from sidecar.storage.resp import NotRedisError, Reply, ReplyError

EXPIRY_SECONDS: Final = 24 * 3600
"""How long a count is kept after its last use: as long as the platform remembers a key."""

CONNECT_SECONDS: Final = 5.0
"""For a connection: the name, TCP, TLS and the login."""

CHECK_SECONDS: Final = 5.0
"""How often an idle connection is tested: a failover or an outage shows before a call needs it."""

FIRST_PAUSE_SECONDS: Final = 0.1
"""Between the second attempt to connect and the third; the second follows the first at once."""

LONGEST_PAUSE_SECONDS: Final = 5.0
"""Each pause is twice the one before, up to this."""

PREFIX: Final = b"bb-sidecar:attempts:"
STARTING: Final = "not connected yet"
_PROBE_KEY: Final = PREFIX + b"probe"
_PROBES: Final = 3
_LATE_SECONDS: Final = 1.0


class RedisLink:
    """A connection to `host` and `port`, or to the Unix socket of `url`, that `url` logs in to.

    While `ready` it answers; else `cause` says why it cannot be used.
    """

    def __init__(
        self,
        url: RedisUrl,
        context: ssl.SSLContext | None,
        address: tuple[str, int],
        *,
        number_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        """Prepare; `start` connects. `changed` is called whenever `ready` or `cause` changes."""
        self._url = url
        self._context = context
        self._host, self._port = address
        self._number_seconds = number_seconds
        self._changed = changed
        self._session: RedisSession | None = None
        self._doubted = asyncio.Event()
        self._steady_at = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self.ready = False
        self.cause = STARTING

    @property
    def waiting(self) -> int:
        """How many calls wait for an answer."""
        return 0 if self._session is None else self._session.waiting

    def start(self) -> None:
        """Connect in the background, and stay connected until `close`."""
        self._keeping = asyncio.ensure_future(self._keep())

    async def close(self) -> None:
        """Close the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))

    async def number(self, key: bytes, *, deadline: float, asking: bool = False) -> int:
        """Take the next number of `key`, from 1, until `deadline` of the loop's time.

        Raises ReplyError for a redirection to another node of a cluster, LinkError for all other
        failures. `asking` is for the node that an ASK names.
        """
        session = self._session
        if session is None:
            raise LinkError(self.cause)
        answer = session.ask(*_counting(key, asking=asking))
        left = deadline - asyncio.get_running_loop().time()
        await asyncio.wait((answer,), timeout=max(left, 0.0))
        if not answer.done():
            self._doubt(self._late())
            raise self._late()
        try:
            return _number(answer.result())
        except ReplyError as error:
            if error.redirect:
                raise
            session.fail(error)
        except NotRedisError as error:
            session.fail(error)
        raise LinkError(self.cause)

    async def command(self, *words: bytes) -> Reply:
        """Send one command and return its reply; LinkError when there is none."""
        session = self._session
        if session is None:
            raise LinkError(self.cause)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await session.command(*words)
        except CONNECTION_FAULTS as error:
            raise LinkError(cause_of(error)) from None

    async def _keep(self) -> None:
        """Connect, and connect again whenever the connection fails."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            self._steady_at = math.inf  # not before it is ready
            try:
                await self._connected()
            except CONNECTION_FAULTS as error:
                self._doubt(error)
            if loop.time() > self._steady_at:
                failures = 0
            if failures:
                pause = FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10)
                await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
            failures += 1

    async def _connected(self) -> None:
        """Open a connection and test it until it fails. Raises why it did."""
        session: RedisSession | None = None
        try:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await self._open()
                    session = RedisSession(reader, writer, ended=self._doubt)
                    await session.log_in(self._url)
            except TimeoutError:
                kind = "connection" if self._context is None else "TLS connection"
                raise LinkError(f"no {kind} within {CONNECT_SECONDS:g} s") from None
            except ssl.SSLError:  # a refused certificate is a ValueError too
                raise
            except (ValueError, OverflowError):
                raise LinkError("its address is not valid") from None
            self._session = session
            await self._test(session)
        finally:
            self._session = None
            if session is not None:
                await session.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address of the name that answers, each with its share of time."""
        if self._url.path:
            return await asyncio.open_unix_connection(self._url.path)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        name = None if self._context is None else self._host
        last: Exception = LinkError("its name does not resolve")
        for *_, address in found:
            try:
                async with asyncio.timeout(CONNECT_SECONDS / len(found)):
                    return await asyncio.open_connection(
                        str(address[0]), self._port, ssl=self._context, server_hostname=name
                    )
            except OSError as error:  # a TimeoutError is one
                last = error
        raise last

    async def _test(self, session: RedisSession) -> None:
        """Take a number every few seconds, and at once when a call has doubted the connection."""
        while True:
            self._doubted.clear()
            await self._prove(session)
            if not self.ready:
                self.ready, self.cause = True, ""
                self._steady_at = asyncio.get_running_loop().time() + CHECK_SECONDS
                self._changed()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._doubted.wait()

    async def _prove(self, session: RedisSession) -> None:
        """Take a number in the time that a call has for it. Raises why that is not possible.

        It may be late twice: this process may have been busy.
        """
        for _ in range(_PROBES):
            answer = session.ask(*_counting(_PROBE_KEY))
            await asyncio.wait((answer,), timeout=self._number_seconds)
            if answer.done():
                if session.fault is not None:
                    raise session.fault
                try:
                    _number(answer.result())
                except ReplyError as error:
                    if not error.redirect:  # another node has the key, so this one answers
                        raise
                return
            self._doubt(self._late())
            await asyncio.wait((answer,), timeout=_LATE_SECONDS)
            if not answer.done():
                break
        raise self._late()

    def _late(self) -> LinkError:
        return LinkError(f"no answer within {self._number_seconds * 1000:g} ms")

    def _doubt(self, fault: Exception) -> None:
        """Use the connection no more before it is tested or replaced."""
        before = self.ready, self.cause
        self.ready, self.cause = False, cause_of(fault)
        self._doubted.set()
        if before != (self.ready, self.cause):
            self._changed()


def _counting(key: bytes, *, asking: bool = False) -> list[Sequence[bytes]]:
    expire = (b"EXPIRE", key, b"%d" % EXPIRY_SECONDS)
    commands: list[Sequence[bytes]] = [(b"MULTI",), (b"INCR", key), expire, (b"EXEC",)]
    return [(b"ASKING",), *commands] if asking else commands


def _number(replies: list[Reply] | None) -> int:
    """Return the number in the replies to `_counting`. Raises the first error in them."""
    if replies is None:
        raise LinkError("it closed the connection")
    counted = replies[-1] if isinstance(replies[-1], list) else []
    for reply in (*replies, *counted):
        if isinstance(reply, ReplyError):
            raise reply
    match counted:
        case [int(number), int()]:
            return number
        case _:
            raise NotRedisError("no count")
