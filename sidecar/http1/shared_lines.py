"""Header lines that are the same in many messages, each made once; with their CRLFs."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from typing import Final

CLOSE: Final = b"Connection: close\r\n"


def kept_for(seconds: float) -> bytes:
    """Return the lines of an answer after which the connection is kept for so long.

    HTTP/1.0 needs the first. Node, undici, Apache HttpClient and Java's own client read the second,
    and use no connection that the server is about to close.
    """
    return b"Connection: keep-alive\r\nKeep-Alive: timeout=%d\r\n" % seconds


def via_lines(name: str | None) -> tuple[bytes, bytes]:
    """Return the Via line of a message that came in HTTP/1.0, and in 1.1 (RFC 9110, 7.6.3)."""
    if name is None:
        return b"", b""
    shown = name.encode("ascii")
    return b"Via: 1.0 %b\r\n" % shown, b"Via: 1.1 %b\r\n" % shown


@lru_cache(maxsize=2)
def date_line(second: int) -> bytes:
    """Return the Date line for a Unix time (RFC 9110, 6.6.1)."""
    return b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
