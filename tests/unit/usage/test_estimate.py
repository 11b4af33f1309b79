"""What a call may cost, read from its body."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Generator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.usage import Estimate, HoldRule
from sidecar.policy.json_short import parts_of
from sidecar.usage.estimate import Estimator, RequestText
from sidecar.usage.estimate import text_of as text_of_parts

HOLD = HoldRule((("max_completion_tokens",), ("max_tokens",)), 4096, 100_000)
ESTIMATOR = Estimator(HOLD)


def text_of(body: bytes) -> int:
    """Return the bytes of text in a body."""
    text = RequestText()
    text.feed(body)
    return text.end()


def test_a_chat_request_has_text_model_and_its_most_output() -> None:
    """Keys, numbers and structure are no text."""
    body = {"model": "gpt", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    assert ESTIMATOR.read(orjson.dumps(body)) == Estimate(len("gptuserhello"), 50, "gpt")


def test_the_first_pointer_that_is_there_counts() -> None:
    """Null and nonsense are as good as nothing."""
    found = [
        ESTIMATOR.read(orjson.dumps(body)).output
        for body in (
            {"max_tokens": 5, "max_completion_tokens": 7},
            {"max_tokens": 5, "max_completion_tokens": None},
            {"max_tokens": "5"},
            {"max_tokens": -5},
            {"max_tokens": 5.0},
            {},
        )
    ]
    assert found == [7, 5, None, None, None, None]


@pytest.mark.parametrize("body", [b"", b"no JSON", b"\xff\xfe", b"[1,", b'{"model":1}', b"[]"])
def test_a_body_that_cannot_be_read_has_no_parts(body: bytes) -> None:
    """It is no error."""
    assert ESTIMATOR.read(body) == Estimate(0, None, None)


def test_a_body_that_only_the_product_can_read_has_text() -> None:
    """A parser that takes NaN would make the call free otherwise."""
    assert ESTIMATOR.read(b'{"a":NaN,"prompt":"hello"}') == Estimate(5, None, None)


def test_a_picture_is_no_text() -> None:
    """Neither as a data: URL nor as bare base64."""
    picture = base64.b64encode(bytes(range(256)) * 9)
    url = b"data:image/png;base64," + picture
    assert text_of(b'{"url":"' + url + b'","data":"' + picture + b'","text":"hi"}') == 2


def test_a_word_is_text_however_it_is_called() -> None:
    """Base64 that is short may be a word, and prose behind a data: URL's header is prose."""
    assert text_of(b'["abcdefgh"]') == 8
    prose = b"many words " * 90
    assert text_of(b'["data:text/plain;base64,' + prose + b'"]') == len(prose) + 23


def test_a_string_behind_another_is_no_key() -> None:
    """That is no JSON, and its text is text all the same."""
    assert text_of(b'"ab""cd" "ef"') == 6


def test_an_escape_counts_as_its_character() -> None:
    """About: one that is written by its number counts four bytes."""
    assert text_of(rb'["a\nb\"c\\"]') == 6
    assert text_of(rb'["\u0416"]') == 4


def run(reading: Generator[None, None, Estimate]) -> tuple[Estimate, int]:
    """Read to the end; return what was read and in how many slices."""
    slices = 0
    while True:
        slices += 1
        try:
            next(reading)
        except StopIteration as end:
            return end.value, slices


def test_a_compressed_body_is_read_decoded() -> None:
    """Within its limit; beyond, its text so far counts."""
    body = gzip.compress(orjson.dumps({"model": "gpt", "prompt": "hello " * 4000}))
    assert run(ESTIMATOR.reading(body, "gzip"))[0] == Estimate(24_003, None, "gpt")
    short, _ = run(ESTIMATOR.reading(body, "gzip", limit=10_000))
    assert short.model is None
    assert 8_000 < short.text_bytes <= 10_000


def test_a_long_body_is_read_in_slices() -> None:
    """The loop serves other calls between two of them."""
    body = orjson.dumps({"messages": ["hello"] * 20_000, "max_tokens": 9, "model": "gpt"})
    estimate, slices = run(ESTIMATOR.reading(body))
    assert estimate == Estimate(100_003, 9, "gpt")
    assert slices > 20


@given(body=st.binary(max_size=300))
def test_no_bytes_raise(body: bytes) -> None:
    """A body is the client's, and may be anything."""
    assert ESTIMATOR.read(body).text_bytes <= len(body)


@given(
    text=st.lists(st.text(max_size=30), max_size=8),
    cut=st.integers(min_value=0, max_value=200),
)
def test_a_piece_may_end_anywhere(text: list[str], cut: int) -> None:
    """Also within an escape, a key, or the header of a data: URL."""
    body = orjson.dumps({"a": text, "url": f"data:x/y;base64,{'QUJD' * 90}"})
    parts = RequestText()
    parts.feed(body[:cut])
    parts.feed(body[cut:])
    assert abs(parts.end() - text_of(body)) <= 4


STRINGS = st.text(max_size=30) | st.text("ab=+/_-\\", min_size=250, max_size=300)
DOCUMENTS = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | STRINGS
    | STRINGS.map("data:a/b;base64,{}".format),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
RUBBISH = st.lists(
    st.sampled_from(
        [b'"', b"\\", b":", b" ", b"\t", b",", b"{", b"a", b"data:;base64,", b"A" * 256]
    )
).map(b"".join)


@given(body=DOCUMENTS.map(orjson.dumps) | RUBBISH | st.binary(max_size=300))
def test_a_short_body_has_as_much_text_read_at_once(body: bytes) -> None:
    """The one pass finds what is found piece by piece, or leaves the body to that."""
    parts = parts_of(body)
    assert parts is None or text_of_parts(parts) == text_of(body)


@given(body=DOCUMENTS.map(orjson.dumps))
def test_valid_json_is_read_at_once(body: bytes) -> None:
    """Only what has an open string is left."""
    assert parts_of(body) is not None


@given(
    model=st.none() | STRINGS | st.integers(0, 99),
    output=st.none() | st.integers(-5, 10**15) | st.floats(0, 1e9),
    more=DOCUMENTS,
)
def test_a_short_estimate_is_the_one_in_slices(model: object, output: object, more: object) -> None:
    """Whatever the body says."""
    body = orjson.dumps({"model": model, "max_tokens": output, "messages": more})
    short = ESTIMATOR.short(body)
    assert short is None or short == ESTIMATOR.read(body)
    assert ESTIMATOR.short(body + b" " * 9000) is None


def test_a_model_that_changes_no_price_is_not_looked_for() -> None:
    """A route without models and hold needs no more than the text."""
    body = b'{"model": "gpt", "max_tokens": 7}'
    assert Estimator(None, model=False).short(body) == Estimate(3, None, None)
