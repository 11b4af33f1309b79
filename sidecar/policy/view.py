"""The policy in force as plain values: resolved, without secrets."""

from __future__ import annotations

from dataclasses import asdict, fields
from decimal import Decimal
from typing import assert_never

from sidecar.domain.cors import Cors
from sidecar.domain.credentials import BearerSource, CookieSource, IdentitySource
from sidecar.domain.usage import HeaderUsage, HoldRule, JsonUsage, UsageFormat, UsageRule
from sidecar.policy.amounts import (
    MAX_UNITS,
    AmountRule,
    ConstantAmount,
    HeaderAmount,
    JsonAmount,
    Scale,
)
from sidecar.policy.compiled import Meter, Policy, Route
from sidecar.policy.json_pointer import JsonPointer
from sidecar.policy.routing import Match


def as_dict(policy: Policy) -> dict[str, object]:
    """Return what is in force, every default written out, for the admin page `/policy`.

    Durations in seconds. A secret is shown as the fact that there is one.
    """
    return {
        "product": policy.product,
        "version": policy.version,
        "hash": policy.hash,
        "case_sensitive": policy.router.case_sensitive,
        "identity": [_source(source) for source in policy.identity],
        "routes": [
            {**_match(match), **_route(route)}
            for match, route in zip(policy.router.matches, policy.routes, strict=True)
        ],
        "unmatched": _route(policy.unmatched),
        "notices": {"at": list(policy.notices)} if policy.notices else None,
        "cors": None if policy.cors is None else _cors(policy.cors),
    }


def amount_as_value(rule: AmountRule) -> int | dict[str, object]:
    """Return an amount as the policy file writes it."""
    match rule:
        case ConstantAmount(units=units):
            return units
        case JsonAmount(pointer=pointer, scale=scale, count=count, times=times):
            shown: dict[str, object] = {"json": pointer.text}
            if count:
                shown["count"] = True
            shown |= _scale(scale)
            return shown if times is None else {**shown, "times": amount_as_value(times)}
        case HeaderAmount(name=name, scale=scale):
            return {"header": name.decode("ascii"), **_scale(scale)}
        case _:
            assert_never(rule)


def _cors(cors: Cors) -> dict[str, object]:
    origins = [pattern.text for pattern in cors.origins]
    return {"origins": origins, "credentials": cors.credentials}


def _scale(scale: Scale) -> dict[str, object]:
    values = {
        "map": None if scale.weights is None else dict(scale.weights),
        "default": scale.default,
        "max": None if scale.maximum == MAX_UNITS else scale.maximum,
    }
    return {name: value for name, value in values.items() if value is not None}


def _source(source: IdentitySource) -> dict[str, object]:
    match source:
        case BearerSource():
            return {"bearer": True, "signed_by": "platform"}
        case CookieSource(name=name, secret=secret):
            return {"cookie": name, "signed_by": "platform" if secret is None else "product"}
        case _:
            assert_never(source)


def _match(match: Match) -> dict[str, object]:
    values: dict[str, object] = {"path": match.pattern.text}
    if match.methods is not None:
        values["methods"] = sorted(match.methods)
    if match.headers:
        values["headers"] = {
            name.decode("ascii"): value.decode("latin-1") for name, value in match.headers
        }
    return {"match": values}


def _route(route: Route) -> dict[str, object]:
    shown: dict[str, object] = {"name": route.name, "errors": route.errors}
    if route.meter is not None:
        shown["meter"] = _meter(route.meter)
    if route.action is not None:
        shown["action"] = route.action
    return shown


def _meter(meter: Meter) -> dict[str, object]:
    return {
        **{field.name: getattr(meter, field.name) for field in fields(meter)},
        "amount": amount_as_value(meter.amount),
        "fail_open_budget": asdict(meter.fail_open_budget),
        "usage": None if meter.usage is None else usage_as_value(meter.usage),
    }


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
