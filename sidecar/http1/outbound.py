"""How calls leave for the platform and its auth host: names looked up apart, and the proxy.

The product is never called through a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
from typing import Final, TypedDict
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from sidecar.http1.resolving import Lookup, Resolver
from sidecar.http1.tunnel import Proxy

_PATIENCE: Final = 0.25
"""Seconds that a new lookup is waited for while older addresses are known."""

_PORTS: Final = {"http": 80, "https": 443}


class ProxyArguments(TypedDict, total=False):
    """What an aiohttp request is given to go through a proxy: the URL holds no credentials."""

    proxy: str
    proxy_headers: dict[str, str]


class UnusableProxyError(ValueError):
    """A proxy is set and cannot be used. No part of it holds a credential."""

    def __init__(self, variable: str, problem: str) -> None:
        self.about = f"{variable} is set and not used: {problem}"
        self.hint = "give an HTTP proxy, such as http://proxy:3128"
        super().__init__(f"{self.about}: {self.hint}")


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
        """Let go of every lookup under way."""
        for resolver in self._resolvers.values():
            resolver.close()


def connector(lookup: Lookup | None = None) -> aiohttp.TCPConnector:
    """Return a connector for a session that calls the platform or its auth host."""
    return aiohttp.TCPConnector(resolver=OutboundResolver(lookup), use_dns_cache=False)


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy that the environment names for a URL; None where the way is direct.

    `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case. Loopback is never
    called through a proxy. Raises UnusableProxyError.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies_environment()
    name = parts.scheme if parts.scheme in proxies else "all"
    given = proxies.get(name)
    if not given or is_loopback(host):
        return None
    if proxy_bypass(f"{host}:{parts.port or _PORTS[parts.scheme]}"):
        return None
    return _read(given, f"{name.upper()}_PROXY")


def proxy_arguments(url: str) -> ProxyArguments:
    """Return what takes an aiohttp request to its proxy; nothing where the way is direct."""
    proxy = usable_proxy_for(url)
    if proxy is None:
        return {}
    if proxy.authorization is None:
        return {"proxy": proxy.url}
    return {"proxy": proxy.url, "proxy_headers": {"Proxy-Authorization": proxy.authorization}}


def usable_proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; one that cannot be used is passed by."""
    try:
        return proxy_for(url)
    except UnusableProxyError:
        return None


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read(text: str, variable: str) -> Proxy:
    """Read a proxy's URL; a host and port alone are an HTTP proxy."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or _PORTS["http"]
        if host is not None:
            host.encode("ascii")
    except ValueError:
        raise UnusableProxyError(variable, "it is no URL") from None
    if parts.scheme != "http":
        raise UnusableProxyError(variable, f"{parts.scheme} proxies are not supported")
    if not host:
        raise UnusableProxyError(variable, "it names no host")
    return Proxy(host, port, _authorization(parts))


def _authorization(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(words.encode()).decode('ascii')}"
