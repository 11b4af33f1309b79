"""The elements of an array that is a stream."""

from __future__ import annotations

import orjson

from sidecar.domain.usage import MissingCause, Tokens, UsageFormat
from sidecar.usage.elements import ElementReader
from sidecar.usage.events import MAX_EVENT
from sidecar.usage.formats.gemini import GEMINI
from sidecar.usage.tally import TokenTally
from tests.unit.usage.samples import GEMINI_ARRAY, GEMINI_CHUNKS, JSON, gemini_chunk, read


def tokens_of(*parts: bytes) -> Tokens | None:
    """Return what the elements in these parts name."""
    tally = TokenTally(GEMINI)
    elements = ElementReader(tally)
    for part in parts:
        elements.feed(part)
    elements.end()
    return tally.result(0, whole=True).tokens


def test_an_element_may_be_cut_anywhere() -> None:
    """Within a text, an escape, or a number."""
    assert tokens_of(*(bytes([byte]) for byte in GEMINI_ARRAY)) == Tokens(46, 50, 0, 35)


def test_brackets_in_a_text_are_text() -> None:
    """So are quotation marks that are escaped, and backslashes that are."""
    text = '}]"{\\\\["'
    body = orjson.dumps([gemini_chunk(text, promptTokenCount=3)])
    assert tokens_of(body) == Tokens(3)
    assert tokens_of(*(bytes([byte]) for byte in body)) == Tokens(3)


def test_only_elements_that_are_whole_count() -> None:
    """A cut array has those before the cut."""
    cut = GEMINI_ARRAY[: GEMINI_ARRAY.rindex(b"STOP")]
    found = read(UsageFormat.GEMINI, cut, headers=JSON, whole=False)
    assert (found.tokens, found.missing) == (Tokens(90, 0, 0, 33), MissingCause.CUT)


def test_an_element_that_is_too_long_is_passed_over() -> None:
    """Those around it are read."""
    large = gemini_chunk("x" * (MAX_EVENT + 9000), promptTokenCount=9)
    body = orjson.dumps([GEMINI_CHUNKS[0], large, gemini_chunk("", candidatesTokenCount=5)])
    parts = [body[at : at + 8192] for at in range(0, len(body), 8192)]
    assert tokens_of(*parts) == Tokens(90, 0, 0, 35)


def test_brackets_that_do_not_match_raise_nothing() -> None:
    """A product may send anything."""
    assert tokens_of(b"[]]]}{[", b'}"\\', b"]") is None
