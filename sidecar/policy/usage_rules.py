"""A meter's `usage`: what must hold between its keys, and the rule that is compiled from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from sidecar.domain.usage import (
    HeaderUsage,
    HoldRule,
    JsonUsage,
    OnMissing,
    UsageFormat,
    UsageRule,
)
from sidecar.policy.json_pointer import JsonPointer
from sidecar.policy.source import Document, Where
from sidecar.policy.usage_schema import (
    HeaderUsageSpec,
    HoldSpec,
    JsonUsageSpec,
    UsageSpec,
    WeightsSpec,
)

_KINDS: Final = tuple(WeightsSpec.model_fields)


def check_usage(document: Document, where: Where, meter: dict[str, object]) -> None:
    """Add a problem for each rule that the `usage` of a meter breaks; `where` is the meter."""
    usage = meter.get("usage")
    if not isinstance(usage, dict):
        return
    at = (*where, "usage")
    _check_format(document, at, usage)
    _check_numbers(document, at, usage)
    _check_hold(document, at, usage)
    amount = meter.get("amount")
    if (
        meter.get("resource") == "storage_bytes"
        and isinstance(amount, dict)
        and str(amount.get("header")).lower() == "content-length"
    ):
        document.problem(
            (*where, "amount"),
            "an empty upload has the amount 0, and with `usage` the amount is a deposit of at "
            "least 1: give a number",
        )


def _check_format(document: Document, at: Where, usage: dict[str, object]) -> None:
    form = usage.get("format")
    if isinstance(form, dict):
        source = "header" if "header" in form else "json"
        if "weights" in usage:
            document.problem(
                (*at, "weights"),
                f"`weights` are of kinds of tokens, and `{source}` is one number: "
                "leave them out, and set `per`",
                key=True,
            )
        if "models" in usage and source == "header":
            document.problem(
                (*at, "models"),
                "a field of the answer names no model: leave `models` out, or take a format whose "
                "answers name it",
                key=True,
            )
    if usage.get("request_usage") is True and form != UsageFormat.OPENAI:
        document.problem(
            (*at, "request_usage"),
            "`request_usage` asks an OpenAI stream: it goes with `format: openai` only",
            key=True,
        )


def _check_numbers(document: Document, at: Where, usage: dict[str, object]) -> None:
    per = usage.get("per")
    if isinstance(per, int | float) and not isinstance(per, bool) and per == 0:
        document.problem((*at, "per"), "`per` must be over 0: weighted tokens for one unit")
    weights = usage.get("weights")
    if isinstance(weights, dict) and all(weights.get(kind) == 0 for kind in _KINDS):
        document.problem(
            (*at, "weights"), "every weight is 0: no token would cost anything; set `output`"
        )


def _check_hold(document: Document, at: Where, usage: dict[str, object]) -> None:
    hold = usage.get("hold")
    if hold is None and usage.get("missing") == OnMissing.HOLD:
        document.problem(
            (*at, "missing"),
            "`missing: hold` needs `hold`, such as `{json: /max_tokens, default: 4096, "
            "max: 200000}`",
        )
    if isinstance(hold, dict):
        check_largest(document, (*at, "hold"), hold.get("max"), {"default": hold.get("default")})


def check_largest(
    document: Document, where: Where, largest: object, values: Mapping[str, object]
) -> None:
    """Add a problem for each value that is over the `max` beside it."""
    for name, value in values.items():
        if isinstance(value, int) and isinstance(largest, int) and value > largest:
            document.problem((*where, name), f"`{name}` {value} is over `max` {largest}")


def usage_rule(spec: UsageSpec) -> UsageRule:
    """Compile the `usage` of a meter."""
    weights = spec.weights
    return UsageRule(
        format=_format(spec.format),
        per=spec.per,
        weights=(weights.input, weights.cached, weights.cache_write, weights.output),
        models=tuple((spec.models or {}).items()),
        hold=None if spec.hold is None else _hold(spec.hold),
        missing=spec.missing,
        request_usage=spec.request_usage,
        overrun=spec.overrun,
    )


def _format(
    spec: UsageFormat | JsonUsageSpec | HeaderUsageSpec,
) -> UsageFormat | JsonUsage | HeaderUsage:
    match spec:
        case UsageFormat():
            return spec
        case JsonUsageSpec():
            return JsonUsage(spec.json_, JsonPointer.parse(spec.json_).tokens)
        case HeaderUsageSpec():
            return HeaderUsage(spec.header.encode("ascii"))
        case _:
            assert_never(spec)


def _hold(spec: HoldSpec) -> HoldRule:
    return HoldRule(
        pointers=tuple(JsonPointer.parse(pointer).tokens for pointer in spec.json_),
        default=spec.max if spec.default is None else spec.default,
        most=spec.max,
    )
