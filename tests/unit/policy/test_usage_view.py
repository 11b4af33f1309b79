"""A rule of usage in the words of the policy file."""

from __future__ import annotations

from decimal import Decimal

from sidecar.domain.usage import (
    HeaderUsage,
    HoldRule,
    JsonUsage,
    OnMissing,
    OnOverrun,
    UsageRule,
)
from sidecar.policy.usage_view import usage_as_value

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


def test_every_default_is_written_out() -> None:
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


def test_a_field_by_its_name() -> None:
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
