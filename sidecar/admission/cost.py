"""What a call costs, in units: exact, from what was read of its answer and the policy's rule.

units = weighted tokens x model / `per`. The whole part of the sum of an org's calls is charged, and
what is left of a unit is carried to the next call: so prices below one unit are neither free nor
rounded up.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final, assert_never

from sidecar.admission.moment import Slot
from sidecar.domain.usage import Estimate, OnMissing, Terms, Tokens, Usage, UsageRule
from sidecar.policy.amounts import MAX_UNITS

CAPACITY: Final = 10_000
"""Orgs times resources whose part of a unit is kept; of any other less than one unit is lost."""

BYTES_PER_TOKEN: Final = 4
"""Of text, where an answer does not say how many tokens it was."""

_NOTHING: Final = Tokens()
_ZERO: Final = Fraction(0)
_SMALLEST: Final = Decimal("1e-12")
_EXACT: Final = Context(prec=60)


def cost_of(terms: Terms, usage: Usage, deposit: int) -> Fraction:
    """Return the units of an answer with a status of 2xx, before what is carried."""
    rule = terms.rule
    times = _times(rule, usage.model or terms.estimate.model)
    seen = _seen(rule, usage, times)
    if usage.missing is None and seen is not None:
        return seen
    least = _ZERO if seen is None else seen
    match rule.missing:
        case OnMissing.ESTIMATE:
            return max(least, _estimated(rule, terms.estimate, usage, times))
        case OnMissing.HOLD:
            return max(least, Fraction(deposit + terms.hold))
        case OnMissing.AMOUNT:
            return max(least, Fraction(deposit))
    assert_never(rule.missing)


def cost_if_killed(terms: Terms, deposit: int) -> int:
    """Return the whole units of a call whose process ended before its answer did."""
    cut = Usage(None, None, None, 0, None)
    return min(MAX_UNITS, math.floor(cost_of(terms, cut, deposit)))


def hold_of(rule: UsageRule, estimate: Estimate, deposit: int) -> int:
    """Return the units beyond the deposit that a call may cost at most; 0 without a hold."""
    hold = rule.hold
    if hold is None:
        return 0
    announced = hold.default if estimate.output is None else estimate.output
    tokens = Fraction(estimate.text_bytes, BYTES_PER_TOKEN) * Fraction(rule.weights[0])
    tokens += min(announced, hold.most) * Fraction(rule.weights[3])
    units = math.ceil(tokens * _times(rule, estimate.model) / Fraction(rule.per))
    return min(MAX_UNITS, max(0, units - deposit))


class CarryBook:
    """What is left of a unit, by org and resource. Changes only synchronously."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Keep the parts of at most `capacity` slots; the one used longest ago goes first."""
        self._capacity = capacity
        self._left: OrderedDict[Slot, tuple[Fraction, float]] = OrderedDict()

    def __len__(self) -> int:
        """Count the slots with a part of a unit."""
        return len(self._left)

    def charge(self, slot: Slot, units: Fraction, period_end: float, now: float) -> int:
        """Return the whole units to charge for `units` and what was left before; keep the rest.

        `period_end` (Unix seconds) is when the part that is kept becomes void.
        """
        left, end = self._left.pop(slot, (_ZERO, 0.0))
        total = units + left if now < end else units
        whole = total.numerator // total.denominator
        rest = total - whole
        if rest:
            self._left[slot] = (rest, period_end)
            if len(self._left) > self._capacity:
                self._left.popitem(last=False)
        return min(MAX_UNITS, whole)


def _seen(rule: UsageRule, usage: Usage, times: Fraction) -> Fraction | None:
    """Price what the answer named; None where it named nothing."""
    if usage.tokens is not None:
        return _priced(rule, _parts(usage.tokens), times)
    if usage.number is not None and usage.number.is_finite():
        return Fraction(_bounded(usage.number)) * times / Fraction(rule.per)
    return None


def _estimated(rule: UsageRule, estimate: Estimate, usage: Usage, times: Fraction) -> Fraction:
    """Price the text that went both ways; what was named of each kind is the least of it."""
    asked = Fraction(estimate.text_bytes, BYTES_PER_TOKEN)
    answered = Fraction(usage.text_bytes, BYTES_PER_TOKEN)
    input_, cached, cache_write, output = _parts(usage.tokens or _NOTHING)
    fresh = max(input_, asked - cached - cache_write)
    return _priced(rule, (fresh, cached, cache_write, max(output, answered)), times)


_Parts = tuple[Fraction, Fraction, Fraction, Fraction]


def _parts(tokens: Tokens) -> _Parts:
    return (
        Fraction(max(0, tokens.input)),
        Fraction(max(0, tokens.cached)),
        Fraction(max(0, tokens.cache_write)),
        Fraction(max(0, tokens.output)),
    )


def _priced(rule: UsageRule, parts: _Parts, times: Fraction) -> Fraction:
    weighted = _ZERO
    for tokens, weight in zip(parts, rule.weights, strict=True):
        if tokens:
            weighted += tokens * Fraction(weight)
    return weighted * times / Fraction(rule.per)


def _bounded(number: Decimal) -> Decimal:
    """Bring a number of an answer within what is computed with: its exponent may be anything."""
    if number <= 0:
        return Decimal(0)
    if number >= MAX_UNITS:
        return Decimal(MAX_UNITS)
    return number.quantize(_SMALLEST, ROUND_HALF_EVEN, _EXACT)


def _times(rule: UsageRule, model: str | None) -> Fraction:
    if model is not None:
        for pattern, times in rule.models:
            if _fits(pattern, model):
                return Fraction(times)
    return Fraction(1)


def _fits(pattern: str, model: str) -> bool:
    """Whether a name fits a pattern in which `*` is any text, in time linear in both."""
    first, *others = pattern.split("*")
    if not others:
        return model == pattern
    last = others.pop()
    if not model.startswith(first) or not model.endswith(last):
        return False
    at, end = len(first), len(model) - len(last)
    for part in others:
        found = model.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
