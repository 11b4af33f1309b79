"""Reason phrases are ours, and the same on every Python."""

from __future__ import annotations

from sidecar.http1.phrases import PHRASES, phrase_of


def test_a_known_status_has_its_phrase() -> None:
    """The words are those of RFC 9110."""
    assert phrase_of(422) == b"Unprocessable Content"


def test_a_status_beyond_the_table_is_still_a_status_line() -> None:
    """A policy may choose any refusal status."""
    assert phrase_of(499) == b"Refused"


def test_every_phrase_can_stand_in_a_status_line() -> None:
    """No phrase has a control byte."""
    assert all(phrase.decode().isprintable() for phrase in PHRASES.values())
