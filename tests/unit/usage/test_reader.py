"""One answer's usage, by its head and the bytes of its body alone."""

from __future__ import annotations

import sys
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.usage import (
    HeaderUsage,
    JsonUsage,
    MissingCause,
    Tokens,
    Usage,
    UsageFormat,
)
from sidecar.usage.reader import PIECE, reader_of
from tests.unit.usage.samples import (
    CHAT,
    CHAT_STREAM,
    EVENTS,
    GEMINI_ARRAY,
    GEMINI_STREAM,
    JSON,
    MESSAGE_STREAM,
    chat_choice,
    chat_chunk,
    event,
    read,
    responses_stream,
    rule_of,
)

OPENAI = UsageFormat.OPENAI
UNITS = JsonUsage("/units", ("units",))
ANSWERS = [
    (OPENAI, CHAT_STREAM, EVENTS),
    (OPENAI, CHAT_STREAM.replace(b"\n", b"\r\n"), EVENTS),
    (OPENAI, b"\xef\xbb\xbf" + responses_stream().replace(b"\n", b"\r"), EVENTS),
    (OPENAI, CHAT_STREAM * 20, EVENTS),
    (OPENAI, orjson.dumps(CHAT), JSON),
    (OPENAI, orjson.dumps(CHAT | {"x": ["some text", {}] * 5000}), JSON),
    (UsageFormat.ANTHROPIC, MESSAGE_STREAM, EVENTS),
    (UsageFormat.GEMINI, GEMINI_STREAM, EVENTS),
    (UsageFormat.GEMINI, GEMINI_ARRAY * 20, JSON),
]


@given(
    number=st.integers(0, len(ANSWERS) - 1),
    cuts=st.lists(st.integers(1, 9000), max_size=60),
    short=st.booleans(),
)
def test_any_split_gives_the_same_usage(
    number: int,
    cuts: list[int],
    short: bool,  # noqa: FBT001
) -> None:
    """Pieces have a fixed size, whatever parts the body comes in."""
    usage_format, body, headers = ANSWERS[number]
    parts, at = [], 0
    for cut in cuts:
        size = cut % 7 + 1 if short else cut
        parts.append(body[at : at + size])
        at += size
    whole = read(usage_format, body, headers=headers)
    assert read(usage_format, *parts, body[at:], headers=headers) == whole
    assert whole.missing is None


@given(
    usage_format=st.sampled_from([*UsageFormat, UNITS]),
    parts=st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [b'data: {"usage":{', b'"usageMetadata":{', b"[", b"{", b'"', b"\\", b"}"]
        ),
        max_size=20,
    ),
    headers=st.sampled_from([(), EVENTS, JSON, (*JSON, (b"content-encoding", b"gzip"))]),
    whole=st.booleans(),
)
def test_no_bytes_raise(
    usage_format: UsageFormat | JsonUsage,
    parts: list[bytes],
    headers: tuple[tuple[bytes, bytes], ...],
    whole: bool,  # noqa: FBT001
) -> None:
    """A product may send anything."""
    read(usage_format, *parts, headers=headers, whole=whole)


def test_an_empty_answer_names_no_usage() -> None:
    """Whole or cut."""
    assert read(OPENAI).missing is MissingCause.ABSENT
    assert read(OPENAI, whole=False).missing is MissingCause.CUT


@pytest.mark.parametrize(
    ("lines", "number", "missing"),
    [
        ([b"12"], Decimal(12), None),
        ([b" 0.5 "], Decimal("0.5"), None),
        ([], None, MissingCause.ABSENT),
        ([b"1", b"1"], None, MissingCause.UNREADABLE),
        ([b"-1"], None, MissingCause.UNREADABLE),
        ([b"1e5"], None, MissingCause.UNREADABLE),
        ([b"9999999999999999"], None, MissingCause.UNREADABLE),
    ],
)
def test_a_header_s_number_is_known_before_the_body(
    lines: list[bytes], number: Decimal | None, missing: MissingCause | None
) -> None:
    """However the body ends; its text is counted."""
    headers = (*EVENTS, *((b"x-units", line) for line in lines))
    found = read(HeaderUsage(b"x-units"), CHAT_STREAM, headers=headers, whole=False)
    assert found == Usage(None, number, None, 11, missing)


def test_a_json_number_is_read_from_a_body_and_from_a_stream() -> None:
    """The last event that has it counts."""
    body = orjson.dumps({"units": 2.5, "model": "m"})
    assert read(UNITS, body, headers=JSON) == Usage(None, Decimal("2.5"), "m", 0, None)
    stream = event({"units": 1}) + event({"units": 4}) + event({"text": "abc"})
    assert read(UNITS, stream) == Usage(None, Decimal(4), None, 3, None)
    assert read(UNITS, b"{}", headers=JSON).missing is MissingCause.ABSENT


def test_a_stream_is_known_by_its_first_bytes() -> None:
    """Some servers send no type, or another."""
    found = read(OPENAI, b"\n" + CHAT_STREAM, headers=())
    assert found.tokens == Tokens(30, 60, 10, 40)


def test_a_charset_that_is_not_read_is_unreadable() -> None:
    """UTF-16 would have to be decoded."""
    headers = ((b"content-type", b"application/json; charset=utf-16"),)
    found = read(OPENAI, b"x" * 50, headers=headers)
    assert (found.missing, found.text_bytes) == (MissingCause.UNREADABLE, 50)


def test_a_stream_costs_little_memory() -> None:
    """A piece that fills, and what is found."""
    reader = reader_of(rule_of(OPENAI), EVENTS)
    ordinary = event(chat_chunk(chat_choice({"content": "x"})))
    for _ in range(500):
        reader.feed(ordinary)
    assert sys.getsizeof(reader._pending) < PIECE * 1.2
    source = reader._source
    assert source is not None
    assert sys.getsizeof(source._pending) < 2 * len(ordinary)  # type: ignore[union-attr]
