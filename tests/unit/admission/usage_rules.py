"""Rules of usage for tests, each a change of one that charges a unit for each token."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from sidecar.domain.usage import (
    Estimate,
    HoldRule,
    MissingCause,
    OnMissing,
    OnOverrun,
    Terms,
    Tokens,
    Usage,
    UsageFormat,
    UsageRule,
)

ONE: Final = Decimal(1)
RULE: Final = UsageRule(
    format=UsageFormat.OPENAI,
    per=ONE,
    weights=(ONE, ONE, ONE, ONE),
    models=(),
    hold=None,
    missing=OnMissing.ESTIMATE,
    request_usage=False,
    overrun=OnOverrun.BLOCK,
)
HOLD: Final = HoldRule((("max_tokens",),), 10, 1000)
NO_ESTIMATE: Final = Estimate(0, None, None)


def rule(**changes: Any) -> UsageRule:
    """Make a rule that differs from the plain one."""
    return replace(RULE, **changes)


def terms(
    of: UsageRule = RULE,
    estimate: Estimate = NO_ESTIMATE,
    *,
    hold: int = 0,
    forgive: bool = False,
    call: str = "",
) -> Terms:
    """Make the terms of a call."""
    return Terms(of, estimate, hold, forgive, call=call)


def used(input_: int = 0, output: int = 0, *, model: str | None = None, **more: int) -> Usage:
    """Make what a whole answer named."""
    return Usage(Tokens(input_, output=output, **more), None, model, 0, None)


def unnamed(text_bytes: int = 0, cause: MissingCause = MissingCause.ABSENT) -> Usage:
    """Make what is known of an answer that named nothing."""
    return Usage(None, None, None, text_bytes, cause)
