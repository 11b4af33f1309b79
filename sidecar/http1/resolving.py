"""The addresses of a host: looked up once for all who wait, and kept while DNS is slow or fails.

A lookup runs in a thread of its own: a blocked `getaddrinfo` cannot be cancelled, and a few of them
would fill the event loop's executor, which the whole process shares.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from itertools import zip_longest
from typing import Final, NamedTuple

MAX_AGE: Final = 10.0
"""Seconds after which addresses are looked up again, when a connection is opened."""

_PAUSE: Final = 1.0
"""Seconds from the end of one lookup to the start of the next."""


class IpAddress(NamedTuple):
    """One address of a host. `scope` is an IPv6 address's flow info and scope ID."""

    family: int
    host: str
    scope: tuple[int, ...] = ()

    def with_port(self, port: int) -> tuple[str | int, ...]:
        """Return the address as sockets take it."""
        return (self.host, port, *self.scope)


Lookup = Callable[[str], Awaitable[tuple[IpAddress, ...]]]
"""Finds the addresses of a name. Raises OSError."""


class Resolver:
    """The addresses of one host, in the order in which they should be tried.

    `patience` is how long a new lookup is waited for while older addresses are known.
    """

    def __init__(
        self,
        host: str,
        *,
        patience: float,
        lookup: Lookup | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        """Look nothing up yet. `now` returns seconds, by default those of the event loop."""
        loop = asyncio.get_running_loop()
        self._host = host
        self._patience = patience
        self._lookup = lookup or look_up
        self._now = now or loop.time
        self._fixed = _literal(host)
        self._known: tuple[IpAddress, ...] = ()
        self._failed: dict[IpAddress, None] = {}
        """Addresses that failed since they last worked, the one that failed last at the end."""
        self._found_at = float("-inf")
        self._began_at = float("-inf")
        self._ended_at = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self._closed = False
        self._problem = OSError(errno.EHOSTUNREACH, "its name has not been looked up")

    async def addresses(self) -> tuple[IpAddress, ...]:
        """Return at least one address. Raises OSError where none is known and none is found."""
        if self._fixed is not None:
            return self._fixed
        if not self._known or self._now() - self._found_at >= MAX_AGE:
            await self._renew()
        return self._in_order()

    async def other_than(self, tried: Iterable[IpAddress]) -> tuple[IpAddress, ...]:
        """Look the host up now, because `tried` failed; return what addresses are new.

        Not within a second of the last lookup: a server that is down would have DNS asked at
        every request.
        """
        if self._fixed is not None:
            return ()
        await self._renew()
        return tuple(each for each in self._known if each not in tried)

    def worked(self, address: IpAddress) -> None:
        """Try this address before those that failed."""
        self._failed.pop(address, None)

    def failed(self, addresses: Iterable[IpAddress]) -> None:
        """Try these addresses last, and look the host up soon."""
        for address in addresses:
            self._failed.pop(address, None)
            self._failed[address] = None
        if self._fixed is None:
            self._begin()

    def close(self) -> None:
        """Let go of the lookup under way, whose thread ends by itself, and begin none."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()

    async def _renew(self) -> None:
        """Wait for a lookup: to its end where nothing is known, else within the patience.

        Patience counts from the start of the lookup: once it is known to be slow, no caller waits.
        """
        running = self._begin()
        if running is None:
            return
        left = None
        if self._known:
            left = self._began_at + self._patience - asyncio.get_running_loop().time()
        if left is None or left > 0:
            await asyncio.wait((running,), timeout=left)  # cancels nothing when it is cancelled

    def _begin(self) -> asyncio.Task[None] | None:
        """Return the lookup under way, or a new one; None where the last one has just ended."""
        due = self._now() - self._ended_at >= _PAUSE
        if self._running is None and due and not self._closed:
            loop = asyncio.get_running_loop()
            self._began_at = loop.time()
            self._running = loop.create_task(self._look_up(), name=f"lookup of {self._host}")
        return self._running

    async def _look_up(self) -> None:
        try:
            found = await self._lookup(self._host)
        except (OSError, UnicodeError) as error:
            self._problem = error if isinstance(error, OSError) else OSError(str(error))
        else:
            if found:
                self._known = _by_turns(found)
                self._failed = {each: None for each in self._failed if each in found}
                self._found_at = self._now()
            else:
                self._problem = OSError(errno.EHOSTUNREACH, "its name has no address")
        finally:
            self._ended_at = self._now()
            self._running = None

    def _in_order(self) -> tuple[IpAddress, ...]:
        if not self._known:
            problem = self._problem
            # A new one each time: an exception that is raised often keeps a traceback of each.
            raise OSError(problem.errno, problem.strerror or str(problem))
        if not self._failed:
            return self._known
        good = [each for each in self._known if each not in self._failed]
        return (*good, *(each for each in self._failed if each in self._known))


async def look_up(host: str) -> tuple[IpAddress, ...]:
    """Ask the system for the addresses of a name, in a thread that keeps no process alive."""
    result: Future[tuple[IpAddress, ...]] = Future()
    result.set_running_or_notify_cancel()  # it cannot be cancelled any more

    def work() -> None:
        try:
            result.set_result(_ask_system(host))
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            result.set_exception(error)

    try:
        threading.Thread(target=work, name=f"lookup of {host}", daemon=True).start()
    except RuntimeError:  # there is no thread to be had
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
    return await asyncio.wrap_future(result)


def _ask_system(host: str) -> tuple[IpAddress, ...]:
    found: dict[IpAddress, None] = {}
    for family, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
        scope = tuple(int(part) for part in address[2:])
        found[IpAddress(int(family), str(address[0]), scope)] = None
    return tuple(found)


def _literal(host: str) -> tuple[IpAddress, ...] | None:
    """Return the address that the host itself is; a scoped one is left to the system."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return (IpAddress(int(socket.AF_INET), host),)
    return None if "%" in host else (IpAddress(int(socket.AF_INET6), host, (0, 0)),)


def _by_turns(found: tuple[IpAddress, ...]) -> tuple[IpAddress, ...]:
    """Take the families by turns, beginning with the first address's (RFC 8305, section 4)."""
    families: dict[int, list[IpAddress]] = {}
    for address in found:
        families.setdefault(address.family, []).append(address)
    rounds = zip_longest(*families.values())
    return tuple(address for each in rounds for address in each if address is not None)
