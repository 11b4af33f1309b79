"""How the text of a setting becomes a value. Pure; each parser raises ValueError with the fix."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from typing_extensions import override

from sidecar.settings.redis_url import parse_redis_url
from sidecar.settings.secret import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65535
_THIS_MACHINE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""The hosts that mean every address, and by which of them this machine reaches itself."""

_EVENT_PATH: Final = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]{1,64}){1,8}")
"""Plain segments, no dot segment, no escape and no slash at the end."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PROTOCOL: Final = re.compile(rf"{_TOKEN.pattern}(?:/[A-Za-z0-9._-]{{1,16}})?")
_CARRIES_REQUESTS: Final = ("h2", "h3", "http", "tls")
_SLUG: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 takes a free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL to open; one of all addresses, `0.0.0.0` or `::`, is this machine's."""
        return f"http://{self}"

    @property
    def here(self) -> Address:
        """The address by which a program on this machine reaches it."""
        return Address(_THIS_MACHINE.get(self.host, self.host), self.port)

    def overlaps(self, other: Address) -> bool:
        """Whether both cannot be listened on."""
        same_host = self.host == other.host or not _THIS_MACHINE.keys().isdisjoint(
            (self.host, other.host)
        )
        return self.port == other.port != 0 and same_host

    @override
    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Origin:
    """A server to call: scheme, host and port, and nothing that could hold a credential."""

    scheme: str
    host: str
    port: int

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The Host field for this server: the port is left out where it is the scheme's own."""
        host = _bracketed(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL without a trailing slash, to put a path behind."""
        return f"{self.scheme}://{self.authority}"

    @override
    def __str__(self) -> str:
        return self.url


def parse_origin(text: str) -> Origin:
    """Read `http://host:port` or `https://host`; a path, query or credential is an error."""
    fix = "give scheme, host and port alone, such as http://127.0.0.1:3000"
    if any(char <= " " or char > "~" for char in text):
        raise ValueError(f"has spaces or non-ASCII characters: {fix}")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise ValueError(f"is not a URL: {fix}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"is not an http or https URL: {fix}")
    if "@" in parts.netloc:
        raise ValueError(f"holds a user name or password: {fix}")
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError(f"has a path, query or fragment: {fix}")
    if parts.netloc.endswith(":") or port == 0:
        raise ValueError(f"has no usable port: {fix}")
    return Origin(parts.scheme, _host(host, fix), port or _DEFAULT_PORTS[parts.scheme])


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """Where the platform is to send its events; `path` is the one that is taken for them."""

    url: str
    path: str


def parse_webhook_url(text: str) -> WebhookUrl:
    """Read the public URL of the webhook. Its path is taken from the product, byte for byte."""
    fix = "give a public URL with a path of its own, such as https://host/api/_sidecar/events"
    try:
        parts = urlsplit(text)
        origin = parse_origin(f"{parts.scheme}://{parts.netloc}")
    except ValueError as problem:
        raise ValueError(f"{str(problem).partition(':')[0]}: {fix}") from None
    if "?" in text or "#" in text or not _EVENT_PATH.fullmatch(parts.path):
        raise ValueError(f"has a query, no path, or one that could be read in two ways: {fix}")
    return WebhookUrl(origin.url + parts.path, parts.path)


def parse_address(text: str) -> Address:
    """Read `host:port` to listen on; an IPv6 host stands in brackets."""
    fix = "give host:port, such as 127.0.0.1:9901 or [::1]:9901"
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"is not an address: {fix}")
    if not colon or not host:
        raise ValueError(f"is not an address: {fix}")
    try:
        number = parse_port(port)
    except ValueError:
        raise ValueError(f"has a port that is not from 0 to {_MAX_PORT}: {fix}") from None
    return Address(_host(host.lower(), fix), number)


def parse_host(text: str) -> str:
    """Read a host name or an IP address to listen on."""
    return _host(text.lower(), "give a host name or an IP address, such as 0.0.0.0")


def parse_port(text: str) -> int:
    """Read a port to listen on; 0 takes a free one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= _MAX_PORT):  # noqa: PLR2004 (no longer than 65535)
        raise ValueError("is not a port: give a whole number from 0 to 65535")
    return int(text)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read CIDRs between commas or spaces; a plain address is that address alone."""
    networks: list[Network] = []
    for item in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(item))
        except ValueError:
            raise ValueError(_network_fix(item)) from None
    if not networks:
        raise ValueError("names no network: give CIDRs such as 10.0.0.0/8, or leave it out")
    return tuple(networks)


def parse_protocols(text: str) -> tuple[str, ...]:
    """Read the names of protocols between commas or spaces, for the Upgrade field.

    Within HTTP itself and within TLS, requests would pass that no policy has seen.
    """
    names = tuple(text.replace(",", " ").split())
    for name in names:
        if not _PROTOCOL.fullmatch(name):
            fix = "give names such as mqtt or spdy/3.1, between commas"
            raise ValueError(f"has {name[:50]!r}, which is no protocol's name: {fix}")
        if name.lower().startswith(_CARRIES_REQUESTS):
            raise ValueError(f"has {name[:50]!r}, in which requests pass unmetered: leave it out")
    if not names:
        raise ValueError("names no protocol: give names such as mqtt, or leave it out")
    return names


def parse_pseudonym(text: str) -> str:
    """Read this proxy's name for Via (RFC 9110, 7.6.3): a token, so that it hides the host."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("is not a name of letters, digits, '-', '_' and '.': give one like edge")
    return text


def parse_path(text: str) -> Path:
    """Read a file's path."""
    if "\0" in text or not text.strip():
        raise ValueError("is not a path: name a file")
    return Path(text)


def parse_slug(text: str) -> str:
    """Read a product slug, which becomes part of keys and is compared with `apps`."""
    if not _SLUG.fullmatch(text):
        raise ValueError("is not a product slug: letters, digits, '-', '_' and '.', at most 100")
    return text


def parse_issuer(text: str) -> str:
    """Read an issuer: compared with `iss` byte for byte, so nothing is normalised."""
    if not text or any(char <= " " or char > "~" for char in text):
        raise ValueError("is empty, or has spaces or non-ASCII characters: give the tokens' `iss`")
    return text


def parse_redis(text: str) -> Secret:
    """Check a Redis URL; it may hold a password, so no error repeats it."""
    parse_redis_url(text)
    return Secret(text)


def _network_fix(item: str) -> str:
    try:
        fixed = ipaddress.ip_network(item, strict=False)
    except ValueError:
        return f"has {item[:50]!r}, which is no network: give CIDRs such as 10.0.0.0/8"
    return f"has {item[:50]!r} with bits beyond its prefix: write {fixed}"


def _host(text: str, fix: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass  # not an address: a name, then
    if not _HOST_NAME.fullmatch(text) or len(text) > 253 or text.replace(".", "").isdigit():  # noqa: PLR2004 (RFC 1035, 2.3.4)
        raise ValueError(f"has no usable host: {fix}")
    return text


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
