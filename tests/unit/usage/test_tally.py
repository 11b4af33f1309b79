"""What is kept of the documents of an answer."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from sidecar.domain.usage import JsonUsage, MissingCause, Usage, UsageFormat
from sidecar.policy.json_reader import JsonReader
from sidecar.policy.json_text import pieces_of
from sidecar.usage.formats import FORMATS
from sidecar.usage.tally import OBJECT_FOLLOWS, NumberTally, TokenTally, names_usage, number_of
from tests.unit.usage.samples import CHAT, GEMINI_CHUNKS, MESSAGE, REALTIME_DONE, RESPONSE


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b'{"usage":{}}', True),
        (b'data: {"usage"\ndata: :\ndata: {', True),
        (b'{"usage":null,"usage" : {', True),
        (b'{"usage":null}', False),
        (b'{"text":"\\"usage\\":{"}', False),
    ],
)
def test_an_object_must_follow_the_key(text: bytes, names: bool) -> None:  # noqa: FBT001
    """A null does not, which every other chunk of a stream has, and escaped text does not."""
    assert names_usage(text, b'"usage"', OBJECT_FOLLOWS) is names


@pytest.mark.parametrize(
    ("name", "document"),
    [
        (UsageFormat.OPENAI, CHAT),
        (UsageFormat.OPENAI, RESPONSE),
        (UsageFormat.ANTHROPIC, MESSAGE),
        (UsageFormat.GEMINI, GEMINI_CHUNKS[2]),
        (UsageFormat.OPENAI_REALTIME, orjson.loads(REALTIME_DONE)),
    ],
)
def test_pointers_find_what_a_parsed_document_has(name: UsageFormat, document: object) -> None:
    """A long body is read along them, and a short one is parsed."""
    parsed, walked = TokenTally(FORMATS[name]), TokenTally(FORMATS[name])
    parsed.take(document)
    walk = JsonReader(walked.pointers()).read(pieces_of(orjson.dumps(document)))
    try:
        while True:
            next(walk)
    except StopIteration as end:
        walked.take_values(end.value)
    assert walked.result(0, whole=True) == parsed.result(0, whole=True)


def test_an_event_is_parsed_for_its_model_a_few_times_at_most() -> None:
    """A stream that names none costs no more."""
    tally = TokenTally(next(iter(FORMATS.values())))
    for _ in range(4):
        assert tally.wants_model
        tally.take({})
    assert not tally.wants_model


def test_a_number_is_the_last_one_named() -> None:
    """Its model is at the top of the document."""
    tally = NumberTally(JsonUsage("/a/units", ("a", "units")))
    documents: list[object] = [
        {"a": {"units": 3}, "model": "m"},
        {"a": {"units": 2.5}},
        {"a": 9},
        [],
    ]
    for document in documents:
        tally.take(document)
    assert tally.result(7, whole=True) == Usage(None, Decimal("2.5"), "m", 7, None)
    assert tally.result(7, whole=False).missing is MissingCause.CUT


@pytest.mark.parametrize("keys", [("0",), ("ü", "0"), ('a"b',)])
def test_a_key_that_may_be_written_otherwise_is_no_needle(keys: tuple[str, ...]) -> None:
    """Every document of the answer is parsed then."""
    assert NumberTally(JsonUsage("", keys)).needle == b":"


@pytest.mark.parametrize("value", [-1, -0.5, True, "1", None, 1e300, float("inf"), float("nan")])
def test_nonsense_is_no_number(value: object) -> None:
    """Nor is what is too large."""
    assert number_of(value) is None
