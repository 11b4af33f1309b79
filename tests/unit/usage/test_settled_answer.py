"""One settled call: what its request asks for, and what its answer comes to, however it ends."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Estimate, MissingCause, Terms, Tokens, Usage
from sidecar.usage.settled_answer import SettledAnswer
from tests.unit.admission.usage_rules import rule

TERMS = Terms(rule(request_usage=True), Estimate(0, None, None), 0, forgive=False)
SHADOW = dataclasses.replace(TERMS, shadow=True)

PATH = b"/v1/chat/completions"
STREAM = b'{"stream":true,"messages":[]}'
DELTA = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
JSON = b'{"usage":{"prompt_tokens":7,"completion_tokens":3}}'
EVENTS = [(b"content-type", b"text/event-stream")]
DONE, FAILED, UNREACHED = AttemptEnd.DONE, AttemptEnd.FAILED, AttemptEnd.UNREACHED


def test_a_stream_is_asked_for_its_usage_and_the_chunk_is_taken_out() -> None:
    """Its client did not ask."""
    answer = SettledAnswer(TERMS)
    asking = answer.asking_body(PATH, [], STREAM)
    assert asking == b'{"stream_options":{"include_usage":true},' + STREAM[1:]
    answer.began(200, EVENTS)
    assert (answer.feed(DELTA), answer.feed(USAGE), answer.end(b"")) == (DELTA, b"", b"")
    end, usage = answer.result(DONE)
    assert usage is not None
    assert (end, usage.tokens, usage.missing) == (DONE, Tokens(7, 0, 0, 3), None)


@pytest.mark.parametrize(
    "fields",
    [[*EVENTS, (b"content-length", b"99")], [*EVENTS, (b"content-encoding", b"gzip")], []],
)
def test_the_chunk_stays_in_an_answer_that_cannot_be_cut(
    fields: list[tuple[bytes, bytes]],
) -> None:
    """One of a known length, one that is compressed, and one that is no stream of events."""
    answer = SettledAnswer(TERMS)
    answer.asking_body(PATH, [], STREAM)
    answer.began(200, fields)
    assert answer.feed(USAGE) == USAGE


def test_in_shadow_no_byte_changes() -> None:
    """Neither of the body nor of the fields."""
    answer = SettledAnswer(SHADOW)
    fields = [(b"accept-encoding", b"gzip")]
    assert answer.asking_body(PATH, fields, STREAM) is None
    assert answer.request_fields(fields) == fields


def test_the_product_is_asked_for_a_plain_answer() -> None:
    """Whatever its client takes."""
    fields = [(b"accept-encoding", b"gzip"), (b"accept", b"*/*")]
    wanted = [(b"accept", b"*/*"), (b"accept-encoding", b"identity")]
    assert SettledAnswer(TERMS).request_fields(fields) == wanted


@pytest.mark.parametrize("end", [DONE, FAILED])
def test_an_answer_that_has_begun_well_is_settled_however_it_ends(end: AttemptEnd) -> None:
    """It is never refunded."""
    answer = SettledAnswer(TERMS)
    answer.began(200, [])
    answer.feed(JSON[:-1])
    result, usage = answer.result(end)
    assert usage is not None
    assert (result, usage.missing) == (DONE, MissingCause.CUT)


@pytest.mark.parametrize("end", [DONE, FAILED])
def test_an_answer_of_another_status_costs_its_deposit(end: AttemptEnd) -> None:
    """Even one that names usage."""
    answer = SettledAnswer(TERMS)
    answer.began(429, [])
    answer.end(JSON)
    assert answer.result(end) == (end, None)


@pytest.mark.parametrize(
    ("end", "usage"),
    [
        (DONE, Usage(None, None, None, 0, MissingCause.CUT)),
        (FAILED, None),
        (UNREACHED, None),
    ],
)
def test_without_a_head_only_what_may_have_run_is_settled(
    end: AttemptEnd, usage: Usage | None
) -> None:
    """By what is known of its request."""
    assert SettledAnswer(TERMS).result(end) == (end, usage)
