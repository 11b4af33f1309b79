"""Who may change state through the admin port: programs on this machine, and no one behind them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def refusal_of(peer: object, headers: Mapping[str, str]) -> str | None:
    """Return why this caller may not change state, or None where it may.

    `peer` is the socket's own `peername`: no header makes a caller local. Two headers can unmake
    it: a page in a browser on this machine sends Origin with every POST, and a proxy on this
    machine says for whom it calls.
    """
    if not _loopback(peer):
        return "only a caller on this machine, through the loopback address, may do this"
    if "Origin" in headers:
        return "a web page may not do this: call without an Origin field"
    if any(name in headers for name in _FORWARDED):
        return "a proxied call may not do this: call the admin port directly"
    return None


def _loopback(peer: object) -> bool:
    if not isinstance(peer, tuple) or not peer or not isinstance(peer[0], str):
        return False
    try:
        address = ipaddress.ip_address(peer[0].partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
