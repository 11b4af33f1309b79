"""An answer of our own as bytes. Pure."""

from __future__ import annotations

from typing import Protocol

from sidecar.answers.refusals import Fields
from sidecar.http1.phrases import phrase_of


class OwnAnswer(Protocol):
    """An answer that the sidecar makes itself: a refusal, or what a delivery is answered."""

    @property
    def status(self) -> int:
        """Its status."""

    @property
    def headers(self) -> Fields:
        """Its fields, without those of framing."""

    @property
    def body(self) -> bytes:
        """Its whole body."""


def serialise(answer: OwnAnswer, *, keep: bool, minor: int, bodiless: bool) -> bytes:
    """Write the head and body; `minor` is the caller's HTTP/1 version, `bodiless` answers HEAD."""
    lines = [b"HTTP/1.1 %d %b" % (answer.status, phrase_of(answer.status))]
    lines += [b"%b: %b" % field for field in answer.headers]
    if not keep:
        lines.append(b"Connection: close")
    elif minor == 0:
        lines.append(b"Connection: keep-alive")
    lines.append(b"Content-Length: %d\r\n\r\n" % len(answer.body))
    return b"\r\n".join(lines) + (b"" if bodiless else answer.body)
