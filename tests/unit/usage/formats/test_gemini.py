"""Gemini's answers: whole, as events, and as the elements of an array."""

from __future__ import annotations

import orjson
import pytest

from sidecar.domain.usage import MissingCause, Tokens, Usage, UsageFormat
from tests.unit.usage.samples import (
    EVENTS,
    GEMINI_ARRAY,
    GEMINI_CHUNKS,
    GEMINI_STREAM,
    JSON,
    event,
    gemini_chunk,
    read,
)

GEMINI = UsageFormat.GEMINI
ALL = Tokens(46, 50, 0, 35)


def test_an_answer_has_tool_prompts_beside_its_prompt() -> None:
    """And thoughts beside its candidates."""
    found = read(GEMINI, orjson.dumps(GEMINI_CHUNKS[-1]), headers=JSON)
    assert found == Usage(ALL, None, "gemini-sample", 0, None)


@pytest.mark.parametrize(
    ("body", "headers"), [(GEMINI_STREAM, EVENTS), (GEMINI_ARRAY, JSON)], ids=["sse", "array"]
)
def test_the_last_of_each_count_of_a_stream_counts(
    body: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Each chunk has the counts so far."""
    found = read(GEMINI, body, headers=headers)
    assert found == Usage(ALL, None, "gemini-sample", 11, None)


def test_a_cut_stream_has_a_lower_bound() -> None:
    """What the last chunk named before the cut."""
    found = read(GEMINI, *(event(chunk) for chunk in GEMINI_CHUNKS[:2]), whole=False)
    assert (found.tokens, found.missing) == (Tokens(90, 0, 0, 33), MissingCause.CUT)


def test_a_function_s_arguments_are_no_usage() -> None:
    """A model can be made to write any keys there."""
    chunk = gemini_chunk("", "STOP", promptTokenCount=4)
    call = {"name": "f", "args": {"usageMetadata": {"promptTokenCount": 0}}}
    chunk["candidates"] = [{"content": {"parts": [{"functionCall": call}]}, "finishReason": "STOP"}]
    assert read(GEMINI, event(chunk)).tokens == Tokens(4)
    assert read(GEMINI, orjson.dumps([chunk]), headers=JSON).tokens == Tokens(4)
