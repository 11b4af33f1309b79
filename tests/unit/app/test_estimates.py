"""What calls may cost, by the rule of their route."""

from __future__ import annotations

import gzip

import pytest

from sidecar.app.estimates import RequestEstimates
from sidecar.domain.model import Headers
from sidecar.domain.usage import Estimate, HoldRule, JsonUsage, UsageFormat, UsageRule
from tests.unit.admission.usage_rules import rule

BODY = b'{"model": "gpt-big", "max_tokens": 70, "prompt": "abcdefgh"}'
HELD = rule(hold=HoldRule((("max_tokens",),), 10, 100))


def _read(
    body: bytes, headers: Headers = (), *, of: UsageRule = HELD, limit: int = 10_000
) -> Estimate:
    reading = RequestEstimates().reading(of, headers, body, limit)
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


@pytest.mark.parametrize(
    ("form", "body", "output"),
    [
        (UsageFormat.OPENAI, b'{"max_tokens":5,"n":3}', 15),
        (UsageFormat.OPENAI, b'{"max_tokens":5,"n":2,"best_of":4}', 20),
        (UsageFormat.OPENAI, b'{"n":3}', 30),
        (UsageFormat.OPENAI, b'{"max_tokens":5,"n":null}', 5),
        (UsageFormat.OPENAI, b'{"max_tokens":5,"n":0}', 5),
        (UsageFormat.OPENAI, b'{"max_tokens":5,"n":"3"}', 5),
        (UsageFormat.OPENAI, b'{"n":1}', None),
        (UsageFormat.GEMINI, b'{"max_tokens":5,"generationConfig":{"candidateCount":8}}', 40),
        (UsageFormat.ANTHROPIC, b'{"max_tokens":5,"n":3}', 5),
        (JsonUsage("/n", ("n",)), b'{"max_tokens":5,"n":3}', 5),
    ],
)
def test_each_answer_that_is_asked_for_may_have_that_output(
    form: UsageFormat | JsonUsage, body: bytes, output: int | None
) -> None:
    """Or the default, where the body names none; read short, and in slices."""
    held = rule(format=form, hold=HoldRule((("max_tokens",),), 10, 100))
    estimates = RequestEstimates()
    found = estimates.short(held, body)
    assert found is not None
    assert found.output == output
    long = body[:-1] + b',"x":"' + b"y " * 20_000 + b'"}'
    assert _read(long, of=held, limit=100_000).output == output


@pytest.mark.parametrize(
    ("body", "unasked"),
    [
        (b'{"stream":true,"n":2}', True),
        (b'{"x":{"stream_options":{}},"y":{"stream":false},"stream":true}', True),
        (b'{"str\\u0065am":true}', True),
        (b'{"stream":true,"stream_options":null}', False),
        (b'{"stream":true,"stream_options":{}}', False),
        (b'{"stream":true,"stream_\\u006fptions":{}}', False),
        (b'{"stream":false}', False),
        (b'{"stream":1}', False),
        (b'{"stream":true,"stream":true}', False),
        (b'{"stream":true,"Stream":false}', False),
        (b'{"x":{"stream":true}}', False),
        (b'[{"stream":true}]', False),
    ],
)
@pytest.mark.parametrize("behind", [b"", b" " * 20_000, b" " * 200_000])
def test_a_stream_that_is_not_asked_for_its_usage_is_known(
    body: bytes,
    unasked: bool,  # noqa: FBT001
    behind: bytes,
) -> None:
    """However long it is; what can be read in two ways is left alone."""
    asking = rule(request_usage=True)
    estimates = RequestEstimates()
    found = estimates.short(asking, body + behind) or _read(body + behind, of=asking, limit=1 << 20)
    assert found.unasked is unasked
    assert not _read(body + behind, of=rule(), limit=1 << 20).unasked


def test_a_body_that_cannot_be_read_says_nothing() -> None:
    """It is never an error: several codings, an unknown one, one too long, and no JSON."""
    several = [(b"content-encoding", b"gzip, br")]
    assert _read(BODY, several) == Estimate(0, None, None)
    assert _read(BODY, [(b"content-encoding", b"x-none")]).output is None
    assert _read(gzip.compress(BODY), [(b"content-encoding", b"gzip")], limit=9).output is None
    assert _read(b"max_tokens=70").output is None
