"""Who may change state through the admin port, or read of orgs: programs on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain.loopback import host_of, is_loopback

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
    host = host_of(fields.get("host", ""))
    here = host in {"localhost", "localhost.", own_host.lower()} or is_loopback(host)
    if not (host and here):
        return "the Host is not this machine: call by a loopback address, or localhost"
    if "origin" in fields:
        return "a web page may not do this: call without an Origin field"
    if any(name in fields for name in _FORWARDED):
        return "a proxied call may not do this: call the admin port directly"
    return None


def _loopback(peer: object) -> bool:
    return isinstance(peer, tuple) and bool(peer) and is_loopback(str(peer[0]))
