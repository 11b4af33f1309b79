"""An answer of our own as bytes. Pure."""

from __future__ import annotations

from sidecar.http1.phrases import phrase_of
from sidecar.refusals import Refusal


def serialise(refusal: Refusal, *, keep: bool, minor: int, bodiless: bool) -> bytes:
    """Write the head and body; `minor` is the caller's HTTP/1 version, `bodiless` answers HEAD."""
    lines = [b"HTTP/1.1 %d %b" % (refusal.status, phrase_of(refusal.status))]
    lines += [b"%b: %b" % field for field in refusal.headers]
    if not keep:
        lines.append(b"Connection: close")
    elif minor == 0:
        lines.append(b"Connection: keep-alive")
    lines.append(b"Content-Length: %d\r\n\r\n" % len(refusal.body))
    return b"\r\n".join(lines) + (b"" if bodiless else refusal.body)
