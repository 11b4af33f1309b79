"""Anthropic's messages, whole and streamed."""

from __future__ import annotations

import orjson

from sidecar.domain.usage import MissingCause, Tokens, Usage, UsageFormat
from tests.unit.usage.samples import (
    JSON,
    MESSAGE,
    MESSAGE_START,
    MESSAGE_STREAM,
    MESSAGE_TEXT,
    message_delta,
    read,
)

ANTHROPIC = UsageFormat.ANTHROPIC


def test_a_message_has_three_counts_of_input() -> None:
    """They have no token in common."""
    body = orjson.dumps(MESSAGE)
    found = read(ANTHROPIC, body, headers=JSON)
    assert found == Usage(Tokens(25, 300, 7, 15), None, "claude-sample", 0, None)
    assert read(ANTHROPIC, body, headers=JSON, whole=False).text_bytes == 11


def test_counts_of_a_stream_are_cumulative() -> None:
    """The first event's output is in the last one's."""
    found = read(ANTHROPIC, MESSAGE_STREAM)
    assert found == Usage(Tokens(25, 300, 7, 15), None, "claude-sample", 11, None)


def test_the_last_input_counts() -> None:
    """A server's tool makes the input grow after the first event."""
    found = read(ANTHROPIC, MESSAGE_START, message_delta(input_tokens=472, output_tokens=9))
    assert found.tokens == Tokens(472, 300, 7, 9)


def test_a_cut_stream_has_its_input() -> None:
    """It is a lower bound, and the text says how much came after it."""
    found = read(ANTHROPIC, MESSAGE_START, MESSAGE_TEXT, whole=False)
    assert found == Usage(Tokens(25, 300, 7, 1), None, "claude-sample", 11, MissingCause.CUT)


def test_a_stream_without_its_last_counts_is_incomplete() -> None:
    """An error event ends a stream whose connection ends well."""
    found = read(ANTHROPIC, MESSAGE_START, MESSAGE_TEXT)
    assert (found.tokens, found.missing) == (Tokens(25, 300, 7, 1), MissingCause.ABSENT)


def test_a_null_is_not_named() -> None:
    """Cache counts are null where no cache is used."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": None, "output_tokens": 2}
    found = read(ANTHROPIC, orjson.dumps(MESSAGE | {"usage": usage}), headers=JSON)
    assert found.tokens == Tokens(5, 0, 0, 2)
