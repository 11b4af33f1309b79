"""Which HTTP proxy the environment names for a server. The product is never called through one."""

from __future__ import annotations

import base64
import ipaddress
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from sidecar.http1.tunnel import Proxy

_PORTS: Final = {"http": 80, "https": 443}


class UnusableProxyError(ValueError):
    """A proxy is set and cannot be used. No part of it holds a credential."""

    def __init__(self, variable: str, problem: str) -> None:
        self.about = f"{variable} is set and not used: {problem}"
        self.hint = "give an HTTP proxy, such as http://proxy:3128"
        super().__init__(f"{self.about}: {self.hint}")


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


def usable_proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; None where the one that is set cannot be used."""
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
