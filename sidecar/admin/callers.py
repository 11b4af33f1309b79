"""Who may change state through the admin port, or read of orgs: programs on this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def refusal_of(peer: object, fields: Mapping[str, str], own_host: str) -> str | None:
    """Return why this caller is refused, or None where it is admitted.

    `peer` is the socket's own `peername`: no field makes a caller local. Three fields show that the
    request is not that of a program here: a page in a browser sends Origin with every POST; a page
    whose name was made to lead here sends that name as its Host (DNS rebinding); a proxy names
    the client. `fields` are by lower-case name; `own_host` is the host of the admin address.
    """
    if not _loopback(peer):
        return "only a caller on this machine, through the loopback address, may do this"
    if not _this_machine(fields.get("host", ""), own_host):
        return "the Host is not this machine: call by a loopback address, or localhost"
    if "origin" in fields:
        return "a web page may not do this: call without an Origin field"
    if any(name in fields for name in _FORWARDED):
        return "a proxied call may not do this: call the admin port directly"
    return None


def _this_machine(authority: str, own_host: str) -> bool:
    """Whether a Host field names this machine, with any port."""
    host = authority.lower()
    if host.startswith("["):
        host, closed, _ = host[1:].partition("]")
        if not closed:
            return False
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    if not host:
        return False
    return host in {"localhost", "localhost.", own_host.lower()} or _loopback_address(host)


def _loopback(peer: object) -> bool:
    if not isinstance(peer, tuple) or not peer or not isinstance(peer[0], str):
        return False
    return _loopback_address(peer[0].partition("%")[0])


def _loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
