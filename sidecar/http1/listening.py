"""Listening on TCP: every address where `::` is given, and an error that names what is at fault."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

from sidecar.domain.errors import UserError

ALL_ADDRESSES: Final = "::"


async def listen(
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    *,
    backlog: int = 128,
    reuse_port: bool = False,
) -> asyncio.Server:
    """Listen on TCP, on IPv6 and IPv4 where `host` is `::`. Raises OSError."""
    loop = asyncio.get_running_loop()
    if host != ALL_ADDRESSES:
        return await loop.create_server(
            protocol, host, port, backlog=backlog, reuse_port=reuse_port or None
        )
    # Event loops make their own sockets of `::` for IPv6 alone.
    both = bound(host, port, reuse_port=reuse_port)
    try:
        return await loop.create_server(protocol, sock=both, backlog=backlog)
    except BaseException:
        both.close()
        raise


def bound(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Return a socket that is bound, and does not listen yet. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if host == ALL_ADDRESSES:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made


def refusal(error: OSError, host: str, port: int, *, host_flag: str, port_flag: str) -> UserError:
    """Say which flag is at fault where an address cannot be listened on, and the fix."""
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, socket.gaierror):
        reason = f"cannot be resolved ({error.strerror}): give an address of this machine"
        return UserError(f"{host_flag}: {host!r} {reason}")
    match error.errno or errno.EADDRNOTAVAIL:  # asyncio raises that one without a number
        case errno.EADDRINUSE:
            fix = "is in use: give a free port, or stop what listens there"
            return UserError(f"{port_flag}: {at} {fix}")
        case errno.EACCES | errno.EPERM:
            return UserError(f"{port_flag}: {at} is not permitted: give a port above 1023")
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            reason = "is no address of this machine: give one of its addresses, such as 127.0.0.1"
            return UserError(f"{host_flag}: {host!r} {reason}")
        case number:
            reason = f"cannot be listened on: {os.strerror(number)}"
            return UserError(f"{port_flag}: {at} {reason}: give another address")
