"""What is this machine: an address, and the host of a Host field. Pure."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

_NO_HOST: Final = frozenset("@/?#\\ \t\r\n")
"""What is no part of a Host field, and means something else to a reader of URLs."""


def is_loopback(address: str) -> bool:
    """Whether an IP address is a loopback one; an IPv4 address may be written as IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def host_of(authority: str) -> str:
    """Return the host of a Host field in lower case, without its port; "" where it has none."""
    if not _NO_HOST.isdisjoint(authority):
        return ""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""
