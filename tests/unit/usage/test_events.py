"""Events are found wherever the stream is cut, and only those that can name usage are parsed."""

from __future__ import annotations

import orjson
import pytest

from sidecar.domain.usage import MissingCause, Tokens, UsageFormat
from sidecar.usage.events import MAX_EVENT, EventReader, data_of
from sidecar.usage.formats.openai import OPENAI
from sidecar.usage.tally import TokenTally
from tests.unit.usage.samples import CHAT_STREAM, USAGE_CHUNK, read

USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
FOUND = Tokens(3, 0, 0, 4)


def tokens_of(*parts: bytes) -> Tokens | None:
    """Return what the events in these parts name, fed as they are."""
    tally = TokenTally(OPENAI)
    events = EventReader(tally)
    for part in parts:
        events.feed(part)
    events.end()
    return tally.result(0, whole=True).tokens


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_ends_a_line(end: bytes) -> None:
    """Byte by byte, too."""
    stream = CHAT_STREAM.replace(b"\n", end)
    assert tokens_of(stream) == Tokens(30, 60, 10, 40)
    assert tokens_of(*(bytes([byte]) for byte in stream)) == Tokens(30, 60, 10, 40)


def test_an_event_may_have_several_lines_of_data() -> None:
    """Pretty JSON, among comments and other fields."""
    pretty = orjson.dumps({"usage": USAGE}, option=orjson.OPT_INDENT_2).splitlines()
    lines = [b": comment", b"id: 7", *(b"data: " + line for line in pretty), b"retry: 5", b"", b""]
    assert tokens_of(b"\n".join(lines)) == FOUND


def test_the_last_event_needs_no_line_end() -> None:
    """Nor does data need a space."""
    assert tokens_of(b"data:" + orjson.dumps({"usage": USAGE})) == FOUND


def test_an_event_of_a_mebibyte_is_read() -> None:
    """`response.completed` has the whole text in it."""
    large = {"x": "y" * 1024 * 1024, "usage": USAGE}
    body = b"data: " + orjson.dumps(large) + b"\n\n"
    assert tokens_of(*(body[at : at + 8192] for at in range(0, len(body), 8192))) == FOUND


def test_an_event_that_is_too_long_is_passed_over() -> None:
    """What follows it is read."""
    large = b"data: " + orjson.dumps({"x": "y" * (MAX_EVENT + 9000), "usage": {"prompt_tokens": 9}})
    parts = [large[at : at + 8192] for at in range(0, len(large), 8192)]
    assert tokens_of(*parts, b"\n\n") is None
    assert tokens_of(*parts, b"\n", b"\ndata: " + orjson.dumps({"usage": USAGE})) == FOUND
    found = read(UsageFormat.OPENAI, *parts, b"\n\n")
    assert found.missing is MissingCause.TOO_LARGE


def test_an_event_with_too_many_members_is_not_parsed() -> None:
    """It would hold the loop."""
    dense = b'data: {"usage":{"prompt_tokens":9},"x":[' + b"1," * 200_000 + b"1]}\n\n"
    assert read(UsageFormat.OPENAI, dense).missing is MissingCause.TOO_LARGE
    hiding = dense.replace(b'"x":[', b'"y":"\\\\","z":"\\"","x":[')
    assert read(UsageFormat.OPENAI, hiding).missing is MissingCause.TOO_LARGE


def test_commas_and_brackets_in_a_text_are_no_members() -> None:
    """A client that has a table repeated in the answer cannot hide its usage so."""
    table = {"usage": USAGE, "instructions": '[1,"2\\n"],' * 60_000}
    assert tokens_of(b"data: " + orjson.dumps(table) + b"\n\n") == FOUND


@pytest.mark.parametrize("value", [b'"\\ud800"', b"NaN", b"-Infinity", b'"\xff"'])
def test_what_only_some_parsers_take_hides_no_usage(value: bytes) -> None:
    """Products write it: of a text that was cut in a character, or of a probability of 0."""
    assert tokens_of(USAGE_CHUNK.replace(b'"id"', b'"x":%b,"id"' % value)) == Tokens(30, 60, 10, 40)


def test_what_is_no_json_is_unreadable() -> None:
    """Where it looked like usage."""
    found = read(UsageFormat.OPENAI, USAGE_CHUNK.replace(b'"id"', b"id"))
    assert (found.tokens, found.missing) == (None, MissingCause.UNREADABLE)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a", b"a"),
        (b"data:  a", b" a"),
        (b"data:a\rdata: b\r\ndata:c\n", b"a\nb\nc"),
        (b"event: x\n: data: y\ndatas: z", b""),
    ],
)
def test_data_is_that_of_the_data_lines(event: bytes, data: bytes) -> None:
    """One space behind the colon is not data."""
    assert data_of(event) == data
