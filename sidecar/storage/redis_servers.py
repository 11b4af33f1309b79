"""The servers that hold the numbers: the one of the URL, or the nodes of the cluster behind it.

A Redis that belongs to a cluster shows its map of slots (CLUSTER SLOTS). It is read when the
connection of the URL is made, when a node redirects a number, and every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.redis_url import RedisUrl
from sidecar.storage.causes import CAUSES, LinkError
from sidecar.storage.redis_link import CHECK_SECONDS, STARTING, RedisLink
from sidecar.storage.resp import Reply, ReplyError

LINKS: Final = 2
"""Connections to each server: while one is replaced, the other one answers."""

_SLOTS: Final = 16384
_LEAST_MAP_SECONDS: Final = 0.1
_REDIRECTS: Final = 2

Address = tuple[str, int]
SlotRange = tuple[int, int, Address]
"""The first slot, the last one, and their node."""


class RedisNode:
    """One server, and the connections to it."""

    def __init__(self, address: Address, links: Sequence[RedisLink]) -> None:
        """Take connections that are not started yet."""
        self.address = address
        self._links = links

    def start(self) -> None:
        """Connect in the background."""
        for link in self._links:
            link.start()

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(link.close() for link in self._links))

    @property
    def link(self) -> RedisLink | None:
        """The connection with the shortest queue; None when none is ready."""
        ready = (link for link in self._links if link.ready)
        return min(ready, key=lambda link: link.waiting, default=None)

    @property
    def problem(self) -> str:
        """Why no connection is ready; empty when one is."""
        if self.link is not None:
            return ""
        causes = [link.cause for link in self._links if link.cause != STARTING]
        return causes[0] if causes else STARTING


class RedisServers:
    """One server or a cluster; finds the server of each key."""

    def __init__(
        self,
        url: RedisUrl,
        context: ssl.SSLContext | None,
        *,
        number_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        """Prepare; `start` connects. `changed` is called when `problem` may have changed."""
        self._url = url
        self._context = context
        self._number_seconds = number_seconds
        self._changed = changed
        self._entry = self._node((url.host, url.port), self._entry_changed)
        self._nodes: dict[Address, RedisNode] = {}
        self._ranges: list[SlotRange] = []
        self._redirected = False
        self._map_read = False
        self._map_problem = ""
        self._map_due = asyncio.Event()
        self._settled = asyncio.Event()
        self._mapping: asyncio.Task[None] | None = None

    async def start(self, *, seconds: float) -> None:
        """Connect; return when that has succeeded or failed, after `seconds` at the latest."""
        self._entry.start()
        self._mapping = asyncio.ensure_future(self._keep_map())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()

    async def close(self) -> None:
        """Close all connections."""
        if self._mapping is not None:
            self._mapping.cancel()
            await asyncio.wait((self._mapping,))
        await asyncio.gather(*(node.close() for node in (self._entry, *self._nodes.values())))

    @property
    def problem(self) -> str:
        """Why not every key can be counted; empty when each can."""
        if not self._ranges:
            return self._entry.problem or self._map_problem
        down = [node.problem for node in self._nodes.values() if node.problem]
        if down:
            return f"{len(down)} of {len(self._nodes)} cluster nodes: {down[0]}"
        return self._map_problem

    async def number(self, key: bytes, *, deadline: float) -> int | None:
        """Take the next number of `key`, from 1; None when there is none until `deadline`."""
        link, asking = self._link(key), False
        now = asyncio.get_running_loop().time
        for _ in range(1 + _REDIRECTS):
            if link is None or now() >= deadline:
                return None
            try:
                return await link.number(key, deadline=deadline, asking=asking)
            except ReplyError as redirect:
                self._redirected = True
                if not self._ranges:
                    self._map_problem = CAUSES["MOVED"]
                self._map_due.set()
                asking = redirect.code == "ASK"
                node = self._nodes.get(_address(redirect.detail, self._url.host))
                link = None if node is None else node.link
            except LinkError:
                link, asking = self._link(key), False  # the other connection, if it is ready
        return None

    def _link(self, key: bytes) -> RedisLink | None:
        if not self._ranges:
            return self._entry.link
        slot = slot_of(key)
        at = bisect_right(self._ranges, slot, key=lambda each: each[0]) - 1
        if at < 0 or slot > self._ranges[at][1]:
            return None
        return self._nodes[self._ranges[at][2]].link

    # the map of a cluster

    async def _keep_map(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS if self._redirected else None):
                    await self._map_due.wait()
            self._map_due.clear()
            await self._read_map()
            self._node_changed()
            await asyncio.sleep(_LEAST_MAP_SECONDS)

    async def _read_map(self) -> None:
        """Ask the servers that answer, one after another, until one shows the map."""
        for node in (*self._nodes.values(), self._entry):
            if (link := node.link) is None:
                continue
            with contextlib.suppress(LinkError):
                reply = await link.command(b"CLUSTER", b"SLOTS")
                self._map_read = True
                await self._use_map(reply)
                return

    async def _use_map(self, reply: Reply) -> None:
        if isinstance(reply, ReplyError) and reply.code == "ERR":  # no cluster
            await self._keep_nodes([])
            self._redirected = False
            return
        ranges = read_ranges(reply, self._url.host)
        several = len({address for _, _, address in ranges}) > 1
        if not (several or self._redirected):
            return  # one node, or a map that may not be read: the URL leads to the node
        self._redirected = True
        covered = sum(last - first + 1 for first, last, _ in ranges)
        self._map_problem = (
            "" if covered == _SLOTS else CAUSES["CLUSTERDOWN" if covered else "MOVED"]
        )
        await self._keep_nodes(ranges)

    async def _keep_nodes(self, ranges: list[SlotRange]) -> None:
        """Connect to the nodes of this map, and leave those that are not in it."""
        addresses = {address for _, _, address in ranges}
        for address in addresses - self._nodes.keys():
            self._nodes[address] = node = self._node(address, self._node_changed)
            node.start()
        gone = [self._nodes.pop(address) for address in self._nodes.keys() - addresses]
        self._ranges = ranges
        await asyncio.gather(*(node.close() for node in gone))

    def _node(self, address: Address, changed: Callable[[], None]) -> RedisNode:
        url, context, seconds = self._url, self._context, self._number_seconds
        return RedisNode(
            address,
            [
                RedisLink(url, context, address, number_seconds=seconds, changed=changed)
                for _ in range(LINKS)
            ],
        )

    def _entry_changed(self) -> None:
        if self._entry.link is not None:
            self._map_due.set()
        self._node_changed()

    def _node_changed(self) -> None:
        problems = {node.problem for node in (self._entry, *self._nodes.values())}
        if STARTING not in problems and (self._map_read or self._entry.problem):
            self._settled.set()
        self._changed()


def slot_of(key: bytes) -> int:
    """Return the slot of a key: that of the part in braces, where there is one."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else key, 0) % _SLOTS


def read_ranges(reply: Reply, host: str) -> list[SlotRange]:
    """Read the answer to CLUSTER SLOTS; a node without a host has that of the URL."""
    ranges: list[SlotRange] = []
    for each in reply if isinstance(reply, list) else []:
        match each:
            case [int(first), int(last), [bytes() | None as name, int(port), *_], *_]:
                ranges.append(
                    (first, last, ((name or b"").decode("utf-8", "replace") or host, port))
                )
            case _:
                pass
    return sorted(ranges)


def _address(detail: str, otherwise: str) -> Address:
    """Return where a redirection leads: `slot host:port`; the host may be left out."""
    host, _, port = detail.rpartition(" ")[2].rpartition(":")
    return host or otherwise, int(port) if port.isdigit() else 0
