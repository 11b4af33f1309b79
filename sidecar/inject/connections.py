"""The connections of a port: a bounded number, from before their handshake to their end.

A TLS connection costs some 300 KiB of buffers whether it is used or not, and any pod of the cluster
may open one. Where all places are taken, the least useful connection ends for a new one: of those
on which no review was answered the oldest, else the one that was useful longest ago. Each has a
moment first, in which an honest burst gets through and frees its places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from typing_extensions import override

_MOMENT: Final = 0.25
"""Seconds that no connection is ended within: a handshake and a review take milliseconds."""


class ConnectionPlace:
    """One connection's place. `since`: loop time of its opening, or when it was useful last."""

    __slots__ = ("end", "since", "useful")

    def __init__(self, since: float) -> None:
        self.since = since
        self.useful = False
        self.end: Callable[[], object] = _nothing


def _nothing() -> None:
    """End what has not begun."""


class Connections:
    """Places for `most` connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[ConnectionPlace, None] = {}
        self._freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._taken)

    async def take(self) -> ConnectionPlace:
        """Take a place; wait until one is free, or one of the others has had its moment."""
        now = asyncio.get_running_loop().time
        while len(self._taken) >= self._most:
            self._freed.clear()
            victim = self._least_useful()
            patience = victim.since + _MOMENT - now()
            if patience <= 0:
                self.free(victim)
                victim.end()
                break
            try:
                async with asyncio.timeout(patience):
                    await self._freed.wait()
            except TimeoutError:
                continue
        place = ConnectionPlace(now())
        self._taken[place] = None
        return place

    def free(self, place: ConnectionPlace) -> None:
        """Give a place back; a second time does nothing."""
        if self._taken.pop(place, self) is None:
            self._freed.set()

    def was_useful(self, place: ConnectionPlace) -> None:
        """Note that a review was answered on a connection."""
        if place in self._taken:
            del self._taken[place]
            self._taken[place] = None
            place.useful = True
            place.since = asyncio.get_running_loop().time()

    def _least_useful(self) -> ConnectionPlace:
        oldest = next(iter(self._taken))
        return next((each for each in self._taken if not each.useful), oldest)


class PlacedConnection(web.RequestHandler):
    """A connection that ends with its place, and gives it back at its end."""

    __slots__ = ("_all", "place")

    def __init__(
        self,
        place: ConnectionPlace,
        connections: Connections,
        server: web.Server,
        **options: Any,  # noqa: ANN401 - the library's own options, passed on
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._all = connections
        self.place = place

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            self.place.end = transport.abort

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._all.free(self.place)
        super().connection_lost(exc)
