"""Reason phrases of the statuses that we send (RFC 9110, 15)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

PHRASES: Final = {each.value: each.phrase.encode("ascii") for each in HTTPStatus} | {
    413: b"Content Too Large",  # Python before 3.13 has the words of an older RFC
    422: b"Unprocessable Content",
}


def phrase_of(status: int) -> bytes:
    """Return the phrase; a status that a policy chose beyond the table is `Refused`."""
    return PHRASES.get(status, b"Refused")
