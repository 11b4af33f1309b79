"""Targets of requests: the path of a URL, and whether its host is the one that Host names."""

from __future__ import annotations

import re
from typing import Final

from sidecar.http1.errors import ProtocolError

HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9._])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp]([Ss]?)://([^/?#@]*)([/?].*)?")


def origin_form(method: str, target: bytes, host: bytes | None) -> bytes:
    """Return the path of an absolute-form target: only the configured upstream is contacted.

    OPTIONS of a server as a whole is `*`, also where it came as a URL (RFC 9112, 3.2.4).
    """
    if target == b"*" and method == "OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise ProtocolError("the request target is neither a path nor an absolute http URL")
    secure, authority, path = absolute.groups()
    if not HOST.fullmatch(authority) or (
        host is not None and _address(authority, secure) != _address(host, secure)
    ):
        raise ProtocolError("the request target and Host name two hosts")
    if path is None:
        return b"*" if method == "OPTIONS" else b"/"
    return path if path.startswith(b"/") else b"/" + path


def _address(authority: bytes, secure: bytes) -> tuple[bytes, int]:
    """Return host and port, which is the scheme's own where none is given (RFC 9110, 4.2.3)."""
    host, port = authority, b""
    if not authority.endswith(b"]"):
        before, colon, after = authority.rpartition(b":")
        if colon:
            host, port = before, after
    return host.lower(), int(port or (b"443" if secure else b"80"))
