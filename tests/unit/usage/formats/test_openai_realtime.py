"""Realtime sessions: each `response.done` is an answer."""

from __future__ import annotations

import pytest

from sidecar.domain.usage import MissingCause, Tokens, Usage
from sidecar.usage.events import take_document
from sidecar.usage.formats.openai_realtime import OPENAI_REALTIME
from sidecar.usage.tally import TokenTally
from tests.unit.usage.samples import REALTIME_DONE


def read_message(message: bytes) -> Usage:
    """Return the usage of one message."""
    tally = TokenTally(OPENAI_REALTIME)
    take_document(tally, message)
    return tally.result(0, whole=True)


def test_a_response_is_priced_by_its_done_event() -> None:
    """Cached tokens are a part of its input."""
    assert read_message(REALTIME_DONE) == Usage(Tokens(68, 64, 0, 121), None, None, 0, None)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (b'{"type":"response.done","response":{"usage":null}}', MissingCause.ABSENT),
        (b"[]", MissingCause.ABSENT),
        (b"\xff", MissingCause.UNREADABLE),
    ],
)
def test_a_message_without_usage_says_why(message: bytes, cause: MissingCause) -> None:
    """A response that was cancelled before it began names none."""
    assert read_message(message) == Usage(None, None, None, 0, cause)
