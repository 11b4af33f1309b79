"""Reason phrases: the same on every Python."""

from __future__ import annotations

import pytest

from sidecar.http1.phrases import PHRASES, phrase_of


@pytest.mark.parametrize("status", PHRASES)
def test_a_phrase_may_stand_in_a_status_line(status: int) -> None:
    """Nothing in it could end the line."""
    assert phrase_of(status).decode("ascii").isprintable()


@pytest.mark.parametrize("status", [400, 417, 431, 501, 505])
def test_every_status_of_a_protocol_error_has_its_phrase(status: int) -> None:
    """What the wire itself refuses is never left to the general word."""
    assert phrase_of(status) != b"Refused"


def test_a_phrase_does_not_depend_on_the_python() -> None:
    """Python 3.13 has other words for some statuses than its predecessors."""
    assert (phrase_of(413), phrase_of(422)) == (b"Content Too Large", b"Unprocessable Content")


def test_a_status_of_a_policy_is_refused() -> None:
    """A status beyond the table has a word all the same."""
    assert phrase_of(499) == b"Refused"
