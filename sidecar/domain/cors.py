"""Which web pages may read the sidecar's own answers: origins, and patterns for them. Pure.

Sources: the Fetch standard, "CORS protocol" (what a browser compares); RFC 6454 (origins).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

EVERY_ORIGIN: Final = "*"

_BELOW: Final = "*."
_MAX_PORT: Final = 65_535
_USUAL_PORTS: Final = {"http": 80, "https": 443}
_LABELS: Final = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_ORIGIN: Final = re.compile(
    rf"([a-z][a-z0-9+.-]*)://({_LABELS}|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?", re.ASCII
)
_NO_PAGE: Final = b"null"
"""The origin of a sandboxed frame or a local file."""


@dataclass(frozen=True, slots=True)
class PageOrigin:
    """An origin in lower case; `port` is None where it is the scheme's usual one."""

    scheme: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """One entry of the policy: an origin, every host `below` it, or with None every origin."""

    text: str
    origin: PageOrigin | None
    below: bool = False

    def matches(self, page: PageOrigin) -> bool:
        """Whether a page of this origin is meant; scheme and port must be the same."""
        wanted = self.origin
        if wanted is None:
            return True
        if (page.scheme, page.port) != (wanted.scheme, wanted.port):
            return False
        # A host has no empty label, so at least one stands before the dot.
        return page.host.endswith(f".{wanted.host}") if self.below else page.host == wanted.host


@dataclass(frozen=True, slots=True)
class Cors:
    """Pages of which origins may read refusals, and whether their fetch may carry cookies."""

    origins: tuple[OriginPattern, ...]
    credentials: bool

    def allows(self, origin: bytes) -> bool:
        """Whether a page may read refusals; `origin` is the value of the request's field."""
        if origin == _NO_PAGE:
            return any(pattern.origin is None for pattern in self.origins)
        page = read_origin(origin.decode("latin-1"))
        return page is not None and any(pattern.matches(page) for pattern in self.origins)


def read_origin(text: str) -> PageOrigin | None:
    """Read an origin as a browser writes it; None where it is none."""
    found = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if found is None:
        return None
    scheme, host, digits = found.groups()
    port = None if digits is None else int(digits)
    return PageOrigin(scheme, host, None if port == _USUAL_PORTS.get(scheme) else port)


def parse_origin_pattern(text: str) -> OriginPattern:
    """Read an entry of the policy. Raises ValueError with the fix."""
    if text == EVERY_ORIGIN:
        return OriginPattern(text, None)
    if text == _NO_PAGE.decode():
        raise ValueError("'null' is the origin of every sandboxed page: it names no page of yours")
    scheme, mark, rest = text.partition("://")
    below = rest.startswith(_BELOW)
    origin = read_origin(f"{scheme}{mark}{rest.removeprefix(_BELOW)}")
    if origin is None:
        raise ValueError(
            f"{text!r} is no origin: write scheme://host or scheme://host:port without a path, "
            "an international host as xn--..., `*.` at most as the host's first label"
        )
    if origin.port is not None and not 0 < origin.port <= _MAX_PORT:
        raise ValueError(f"{text!r} has no valid port: 1 to {_MAX_PORT}")
    if below and (origin.host.startswith("[") or origin.host.rpartition(".")[2].isdigit()):
        raise ValueError(f"{text!r}: no host is below an IP address; name the address alone")
    return OriginPattern(text, origin, below)
