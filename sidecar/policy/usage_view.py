"""The `usage` of a meter as plain values, in the words of the policy file."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import assert_never

from sidecar.domain.usage import HeaderUsage, HoldRule, JsonUsage, UsageFormat, UsageRule
from sidecar.policy.json_pointer import JsonPointer


def usage_as_value(rule: UsageRule) -> dict[str, object]:
    """Return a rule as the policy file writes it, every default written out."""
    kinds = ("input", "cached", "cache_write", "output")
    return {
        **{field.name: getattr(rule, field.name) for field in fields(rule)},
        "format": _format(rule.format),
        "per": _number(rule.per),
        "weights": dict(zip(kinds, map(_number, rule.weights), strict=True)),
        "models": {name: _number(times) for name, times in rule.models},
        "hold": None if rule.hold is None else _hold(rule.hold),
    }


def _format(form: UsageFormat | JsonUsage | HeaderUsage) -> str | dict[str, object]:
    match form:
        case UsageFormat():
            return form.value
        case JsonUsage(pointer=pointer):
            return {"json": pointer}
        case HeaderUsage(name=name):
            return {"header": name.decode("ascii")}
        case _:
            assert_never(form)


def _hold(hold: HoldRule) -> dict[str, object]:
    pointers = [JsonPointer.to(*keys).text for keys in hold.pointers]
    return {"json": pointers, "default": hold.default, "max": hold.most}


def _number(value: Decimal) -> int | float:
    """Return a number as JSON has it; only shown, never computed with."""
    return int(value) if value == value.to_integral_value() else float(value)
