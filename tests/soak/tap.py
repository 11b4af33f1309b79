"""Reads what went over the wire to the product: which requests never got through it.

The sidecar has been paid for a request as soon as a byte of it left, so one that the wire swallowed
is paid for and never executed: it must be counted, or the books would not balance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.wire.fault_proxy import Passage


class Tap:
    """`lost`: units by org and resource, of requests whose head did not get through whole."""

    def __init__(self) -> None:
        self.lost: Counter[tuple[str, str]] = Counter()

    def ended(self, passage: Passage) -> None:
        """Take in a connection that is over."""
        for end, fields in _heads(bytes(passage.heard)):
            if end > passage.there:
                resource = fields.get("x-resource", "ai_calls")
                units = int(fields.get("x-units", "1"))
                self.lost[fields.get("x-bb-org-id", ""), resource] += units


def _heads(heard: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each request's head: where it ends, and its fields."""
    at = 0
    while (end := heard.find(b"\r\n\r\n", at)) >= 0:
        lines = heard[at:end].decode("latin-1").split("\r\n")[1:]
        fields = {
            name.lower(): value.strip() for name, _, value in (e.partition(":") for e in lines)
        }
        yield end + 4, fields
        if fields.get("upgrade"):
            return  # what follows is the tunnel's
        if "transfer-encoding" in fields:
            last = heard.find(b"\r\n0\r\n\r\n", end + 2)
            at = len(heard) if last < 0 else last + 7
        else:
            at = end + 4 + int(fields.get("content-length", "0"))
