"""What calls may cost, by the rule of their route."""

from __future__ import annotations

import gzip

from sidecar.app.estimates import RequestEstimates
from sidecar.domain.model import Headers
from sidecar.domain.usage import Estimate, HoldRule
from tests.unit.admission.usage_rules import rule

BODY = b'{"model": "gpt-big", "max_tokens": 70, "prompt": "abcdefgh"}'
HELD = rule(hold=HoldRule((("max_tokens",),), 10, 100))


def _read(body: bytes, headers: Headers = (), *, limit: int = 10_000) -> Estimate:
    reading = RequestEstimates().reading(HELD, headers, body, limit)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            estimate: Estimate = end.value
            return estimate


def test_model_output_and_text_are_read() -> None:
    """By the pointers of the route's hold."""
    found = _read(BODY)
    assert (found.model, found.output) == ("gpt-big", 70)
    assert found.text_bytes >= len("gpt-bigabcdefgh")


def test_a_compressed_body_is_decoded() -> None:
    """It says the same."""
    assert _read(gzip.compress(BODY), [(b"content-encoding", b"gzip")]) == _read(BODY)


def test_a_body_that_cannot_be_read_says_nothing() -> None:
    """It is never an error: several codings, an unknown one, one too long, and no JSON."""
    several = [(b"content-encoding", b"gzip, br")]
    assert _read(BODY, several) == Estimate(0, None, None)
    assert _read(BODY, [(b"content-encoding", b"x-none")]).output is None
    assert _read(gzip.compress(BODY), [(b"content-encoding", b"gzip")], limit=9).output is None
    assert _read(b"max_tokens=70").output is None
