"""A body that is one document, short or long."""

from __future__ import annotations

import orjson
import pytest

from sidecar.domain.usage import MissingCause, Tokens, UsageFormat
from sidecar.usage.body import KEPT, BodyReader
from sidecar.usage.formats.openai import OPENAI
from sidecar.usage.tally import TokenTally
from tests.unit.usage.samples import CHAT, JSON, RESPONSE, read


def long_body(size: int) -> bytes:
    """Return a completion of about this length."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * size}}
    return orjson.dumps(CHAT | {"choices": [choice]})


@pytest.mark.parametrize("size", [0, KEPT - 100, KEPT + 100, 3_000_000])
def test_a_body_of_any_length_is_read(size: int) -> None:
    """A long one is not kept."""
    found = read(UsageFormat.OPENAI, long_body(size), headers=JSON)
    assert (found.tokens, found.model) == (Tokens(30, 60, 10, 40), "gpt-sample")
    assert found.text_bytes == size


def test_embeddings_of_many_numbers_are_read() -> None:
    """A hundred vectors are more than one parse may take."""
    vectors = [{"index": at, "embedding": [0.123456789] * 1536} for at in range(40)]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    body = orjson.dumps({"data": vectors, "model": "e", "usage": usage})
    assert read(UsageFormat.OPENAI, body, headers=JSON).tokens == Tokens(8)


@pytest.mark.parametrize("text", [",", "[1,2],", '{"a":[]},'])
def test_what_a_text_consists_of_does_not_hide_the_usage_behind_it(text: str) -> None:
    """A client chooses what a model writes: commas and brackets in a string cost no work."""
    body = long_body(1).replace(b'"x"', orjson.dumps(text * 20_000))
    assert read(UsageFormat.OPENAI, body, headers=JSON).tokens == Tokens(30, 60, 10, 40)


@pytest.mark.parametrize("member", [b"[" * 99 + b"]" * 99, b'{"a":{"a":{"a":{"a":{}}}}}'])
def test_a_body_that_would_hold_the_loop_is_too_large(member: bytes) -> None:
    """Arrays and objects inside each other are read one by one."""
    body = b'{"x":[' + (member + b",") * 2000 + b"0]" + long_body(1)[1:]
    found = read(UsageFormat.OPENAI, body, headers=JSON)
    assert found.missing is MissingCause.TOO_LARGE


def test_a_long_body_keeps_a_few_kilobytes() -> None:
    """However much of it has passed."""
    tally = TokenTally(OPENAI)
    reader = BodyReader(tally)
    for _ in range(64):
        reader.feed(b'{"x":"' + b"y" * 8186 if not _ else b"y" * 8192)
    assert len(reader._kept) + len(reader._next) == 0


@pytest.mark.parametrize("size", [0, KEPT])
def test_a_tool_s_parameters_are_no_usage(size: int) -> None:
    """They are the client's own words."""
    body = orjson.dumps({"tools": RESPONSE["tools"], "x": "x" * size})
    assert read(UsageFormat.OPENAI, body, headers=JSON).tokens is None


@pytest.mark.parametrize("size", [0, KEPT])
def test_what_is_no_json_is_unreadable(size: int) -> None:
    """And what ends in the middle."""
    body = long_body(size)
    for bad in (b"<" + body, body[:-1]):
        found = read(UsageFormat.OPENAI, bad, headers=JSON)
        assert (found.tokens, found.missing) == (None, MissingCause.UNREADABLE)


@pytest.mark.parametrize("size", [0, KEPT])
def test_a_body_that_is_cut_misses_its_usage(size: int) -> None:
    """Its text so far is counted."""
    body = long_body(size)
    cut = body[: body.rindex(b'"usage"')]
    found = read(UsageFormat.OPENAI, cut, headers=JSON, whole=False)
    assert (found.tokens, found.missing) == (None, MissingCause.CUT)
    assert found.text_bytes == size
