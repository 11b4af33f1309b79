"""The policy in force as the admin page shows it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from sidecar.domain.usage import (
    HeaderUsage,
    HoldRule,
    JsonUsage,
    OnMissing,
    OnOverrun,
    UsageRule,
)
from sidecar.policy.load import load_policy
from sidecar.policy.view import amount_as_value, as_dict, usage_as_value

TEXT = b"""\
version: 1
product: acme
identity:
  - {cookie: bb_at}
  - {bearer: true}
  - {cookie: acme_session, secret_env: S}
routes:
  - {name: a, match: {path: /a, methods: [PUT, GET], headers: {X-Tier: gold}}, meter: {}}
  - {name: b, match: {path: /b}, action: deny}
  - {name: c, match: {path: /c}, meter: {amount: {json: /n, map: {x: 2}, default: 1, max: 9}}}
  - {name: d, match: {path: /d}, meter: {amount: {header: X-Units}}}
  - name: e
    match: {path: /e}
    meter: {amount: {json: /n, default: 1, times: {json: /p, count: true, max: 9}}}
"""


@pytest.fixture
def shown() -> dict[str, Any]:
    """The view, after a trip through JSON."""
    policy = load_policy(TEXT, file="p", environ={"S": "s3cret"})
    document: dict[str, Any] = json.loads(json.dumps(as_dict(policy)))
    return document


def test_defaults_are_written_out(shown: dict[str, Any]) -> None:
    """An operator sees what rules, not what was left out."""
    assert shown["routes"][0] == {
        "name": "a",
        "match": {"path": "/a", "methods": ["GET", "PUT"], "headers": {"x-tier": "gold"}},
        "errors": "problem",
        "meter": {
            "resource": "ai_calls",
            "amount": 1,
            "accuracy": "exact",
            "on_over_quota": "deny",
            "on_platform_error": "fail_open",
            "fail_open_budget": {"units": 1000, "seconds": 900.0},
            "platform_timeout": 0.25,
            "refund": "unreached",
            "replay": "charge",
            "enforcement": "enforce",
            "deny_status": 429,
            "body_limit": 1048576,
            "usage": None,
        },
    }


def test_actions_and_the_unmatched_route(shown: dict[str, Any]) -> None:
    """Routes without a meter, and where everything else goes."""
    assert shown["routes"][1] == {
        "name": "b", "match": {"path": "/b"}, "errors": "problem", "action": "deny",
    }  # fmt: skip
    assert shown["unmatched"] == {"name": "unmatched", "errors": "problem", "action": "deny"}


def test_secrets_are_not_shown(shown: dict[str, Any]) -> None:
    """Who signs is shown, with what is not."""
    assert shown["identity"] == [
        {"cookie": "bb_at", "signed_by": "platform"},
        {"bearer": True, "signed_by": "platform"},
        {"cookie": "acme_session", "signed_by": "product"},
    ]
    assert "s3cret" not in json.dumps(shown)


def test_amounts_are_shown_as_the_file_writes_them() -> None:
    """The same words in the file and on the page."""
    routes = load_policy(TEXT, file="p", environ={"S": "x"}).routes
    amounts = [amount_as_value(route.meter.amount) for route in routes if route.meter]
    assert amounts == [
        1,
        {"json": "/n", "map": {"x": 2}, "default": 1, "max": 9},
        {"header": "x-units"},
        {"json": "/n", "default": 1, "times": {"json": "/p", "count": True, "max": 9}},
    ]


def test_origins_are_shown_as_they_were_written() -> None:
    """And None without the block."""
    text = TEXT + b"cors: {origins: ['https://*.acme.com']}\n"
    shown = as_dict(load_policy(text, file="p", environ={"S": "s3cret"}))
    assert shown["cors"] == {"origins": ["https://*.acme.com"], "credentials": False}
    assert as_dict(load_policy(TEXT, file="p", environ={"S": "s3cret"}))["cors"] is None


RULE = UsageRule(
    format=JsonUsage("/a", ("a",)),
    per=Decimal(1000),
    weights=(Decimal(1), Decimal("0.1"), Decimal("1.25"), Decimal(4)),
    models=(("big*", Decimal(5)),),
    hold=HoldRule((("a/b", "c~d"),), 4, 10),
    missing=OnMissing.HOLD,
    request_usage=False,
    overrun=OnOverrun.FORGIVE,
)


def test_every_default_of_usage_is_written_out() -> None:
    """As the file would write it, pointers escaped again."""
    assert usage_as_value(RULE) == {
        "format": {"json": "/a"},
        "per": 1000,
        "weights": {"input": 1, "cached": 0.1, "cache_write": 1.25, "output": 4},
        "models": {"big*": 5},
        "hold": {"json": ["/a~1b/c~0d"], "default": 4, "max": 10},
        "missing": "hold",
        "request_usage": False,
        "overrun": "forgive",
    }


def test_usage_in_a_field_by_its_name() -> None:
    """The name in lower case."""
    one = Decimal(1)
    rule = UsageRule(
        HeaderUsage(b"x-units"),
        one,
        (one, one, one, one),
        (),
        None,
        OnMissing.AMOUNT,
        request_usage=False,
        overrun=OnOverrun.BLOCK,
    )
    assert usage_as_value(rule)["format"] == {"header": "x-units"}
