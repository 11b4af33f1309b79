"""How the typed client connects: names looked up apart from the loop, and the proxy."""

from __future__ import annotations

import socket
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from sidecar.http1.proxies import usable_proxy_for
from sidecar.http1.resolving import Lookup, Resolver

_PATIENCE: Final = 0.25
"""Seconds that a new lookup is waited for while older addresses are known."""


class OutboundResolver(AbstractResolver):
    """aiohttp's names: looked up in threads of their own, the last good addresses kept."""

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup = lookup
        self._resolvers: dict[str, Resolver] = {}

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return every address of a host. Raises OSError where there is none."""
        resolver = self._resolvers.get(host)
        if resolver is None:
            resolver = Resolver(host, patience=_PATIENCE, lookup=self._lookup)
            self._resolvers[host] = resolver
        return [
            ResolveResult(
                hostname=host,
                host=address.host,
                port=port,
                family=address.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await resolver.addresses()
            if family in {socket.AF_UNSPEC, address.family}
        ]

    @override
    async def close(self) -> None:
        """Give up every lookup under way."""
        for resolver in self._resolvers.values():
            resolver.close()


def connector(lookup: Lookup | None = None) -> aiohttp.TCPConnector:
    """Return a connector for a session that calls the platform or its auth host."""
    return aiohttp.TCPConnector(resolver=OutboundResolver(lookup), use_dns_cache=False)


def proxy_arguments(url: str) -> dict[str, Any]:
    """Return what takes an aiohttp request to its proxy; nothing where the way is direct.

    The URL of a proxy holds no credentials: they are a field of their own.
    """
    proxy = usable_proxy_for(url)
    if proxy is None:
        return {}
    if proxy.authorization is None:
        return {"proxy": proxy.url}
    return {"proxy": proxy.url, "proxy_headers": {"Proxy-Authorization": proxy.authorization}}
