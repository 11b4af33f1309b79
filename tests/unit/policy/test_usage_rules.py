"""What must hold between the keys of `usage`, and the rule that is compiled."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sidecar.domain.usage import (
    HeaderUsage,
    HoldRule,
    JsonUsage,
    OnMissing,
    OnOverrun,
    UsageFormat,
    UsageRule,
)
from sidecar.policy.load import find_problems, load_policy

POLICY = """version: 1
product: acme
routes:
  - name: chat
    match: {{path: /chat}}
    meter: {meter}
"""


def problems(meter: str) -> list[str]:
    """Return what is wrong with a meter, each with its column."""
    found = find_problems(POLICY.format(meter=meter).encode(), file="p", environ=None)
    return [str(problem) for problem in found if "WebSocket" not in str(problem)]


def rule(usage: str) -> UsageRule:
    """Compile the `usage` of a meter."""
    data = POLICY.format(meter=f"{{usage: {usage}}}").encode()
    meter = load_policy(data, file="p", environ={}).routes[0].meter
    assert meter is not None
    assert meter.usage is not None
    return meter.usage


def test_a_format_alone_is_a_whole_rule() -> None:
    """Each token counts one unit, and what the quota cannot cover blocks."""
    one = Decimal(1)
    assert rule("{format: openai}") == UsageRule(
        format=UsageFormat.OPENAI,
        per=one,
        weights=(one, one, one, one),
        models=(),
        hold=None,
        missing=OnMissing.ESTIMATE,
        request_usage=False,
        overrun=OnOverrun.BLOCK,
    )


def test_every_key_reaches_the_rule() -> None:
    """Numbers with the digits of the file, pointers unescaped."""
    found = rule(
        "{format: anthropic, per: 1000, weights: {input: 1, cached: 0.1, cache_write: 1.25, "
        'output: 4}, models: {"big*": 5, "*": 0.5}, hold: {json: [/a~1b, /max_tokens], '
        "default: 4096, max: 200000}, missing: hold, overrun: forgive}"
    )
    assert found == UsageRule(
        format=UsageFormat.ANTHROPIC,
        per=Decimal(1000),
        weights=(Decimal(1), Decimal("0.1"), Decimal("1.25"), Decimal(4)),
        models=(("big*", Decimal(5)), ("*", Decimal("0.5"))),
        hold=HoldRule((("a/b",), ("max_tokens",)), 4096, 200_000),
        missing=OnMissing.HOLD,
        request_usage=False,
        overrun=OnOverrun.FORGIVE,
    )


def test_a_hold_without_a_default_holds_the_most() -> None:
    """A call that announces nothing may make that much."""
    hold = rule("{format: openai, hold: {json: /max_tokens, max: 10}}").hold
    assert hold == HoldRule((("max_tokens",),), 10, 10)


@pytest.mark.parametrize(
    ("form", "compiled"),
    [
        ("{json: /usage/total}", JsonUsage("/usage/total", ("usage", "total"))),
        ("{header: X-Units}", HeaderUsage(b"x-units")),
    ],
)
def test_one_number_of_the_answer(form: str, compiled: object) -> None:
    """Of its body, or of its head."""
    assert rule(f"{{format: {form}}}").format == compiled


@pytest.mark.parametrize(
    ("usage", "problem"),
    [
        (
            "{format: {header: x}, weights: {input: 2}}",
            (
                "6:42: `weights` are of kinds of tokens, and `header` is one number: leave them "
                "out, and set `per`"
            ),
        ),
        (
            "{format: {json: /x}, weights: {input: 2}}",
            (
                "6:41: `weights` are of kinds of tokens, and `json` is one number: leave them out, "
                "and set `per`"
            ),
        ),
        (
            "{format: {header: x}, models: {a: 2}}",
            (
                "6:42: a field of the answer names no model: leave `models` out, or take a format "
                "whose answers name it"
            ),
        ),
        (
            "{format: gemini, request_usage: true}",
            "6:37: `request_usage` asks an OpenAI stream: it goes with `format: openai` only",
        ),
        (
            "{format: openai, per: 0}",
            "6:42: `per` must be over 0: weighted tokens for one unit",
        ),
        (
            "{format: openai, weights: {input: 0, cached: 0, cache_write: 0, output: 0.0}}",
            "6:46: every weight is 0: no token would cost anything; set `output`",
        ),
        (
            "{format: openai, missing: hold}",
            (
                "6:46: `missing: hold` needs `hold`, such as `{json: /max_tokens, default: 4096, "
                "max: 200000}`"
            ),
        ),
        (
            "{format: openai, hold: {json: /a, default: 7, max: 5}}",
            "6:63: `default` 7 is over `max` 5",
        ),
        ("{format: openai, hold: {json: /a}}", "6:37: `hold` needs `max`"),
        (
            "{format: openai, hold: {json: [], max: 1}}",
            "6:50: `json` must not be empty: leave out the key instead",
        ),
        (
            "{format: openia}",
            (
                "6:29: `format` must be 'openai', 'anthropic', 'gemini' or 'openai_realtime', "
                "not 'openia'"
            ),
        ),
        ("{format: {jsonn: /x}}", "6:30: unknown key `jsonn`; did you mean `json`?"),
        ("{format: openai, wieghts: {}}", "6:37: unknown key `wieghts`; did you mean `weights`?"),
        (
            '{format: openai, per: "1"}',
            "6:42: `per`: '1' is not a number: write 2 or 0.1, without quotes",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(usage: str, problem: str) -> None:
    """Each with line, column and fix."""
    assert f"p:{problem}" in problems(f"{{usage: {usage}}}")


def test_a_deposit_is_at_least_one_unit() -> None:
    """A constant of 0, and an upload that may be empty."""
    assert problems("{amount: 0, usage: {format: openai}}") == [
        "p:6:21: `amount` must be at least 1, not 0"
    ]
    upload = "{resource: storage_bytes, amount: {header: Content-Length}, usage: {format: openai}}"
    assert problems(upload) == [
        (
            "p:6:46: an empty upload has the amount 0, and with `usage` the amount is a deposit "
            "of at least 1: give a number"
        )
    ]
