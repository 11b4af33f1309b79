"""Who asks over gRPC, as its address. Pure."""

from __future__ import annotations

from urllib.parse import unquote


def host_of(peer: str) -> str:
    """Return the IP address of a peer as gRPC names it (`ipv4:10.0.0.7:41234`); empty without."""
    kind, _, address = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    host, _, _ = unquote(address).rpartition(":")
    return host.strip("[]").partition("%")[0]
