"""What a call costs, in units: exact, from what was read of its answer and the policy's rule.

units = weighted tokens x model / `per`. The whole part of the sum of an org's calls is charged, and
what is left of a unit is carried to the next call: so prices below one unit are neither free nor
rounded up.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final, assert_never

from sidecar.admission.moment import Slot
from sidecar.domain.usage import Estimate, OnMissing, Terms, Tokens, Usage, UsageRule
from sidecar.policy.amounts import MAX_UNITS

CAPACITY: Final = 10_000
"""Orgs times resources whose part of a unit is kept; of any other less than one unit is lost."""

BYTES_PER_TOKEN: Final = 4
"""Of text, where an answer does not say how many tokens it was."""

PRICES_KEPT: Final = 4096
"""Prices of a rule for a model that are kept: a client chooses what models it names."""

LONGEST_NAME: Final = 256
"""Characters of a model's name whose price is kept."""

_NOTHING: Final = Tokens()
_ZERO: Final = Fraction(0)
_SMALLEST: Final = Decimal("1e-12")
_EXACT: Final = Context(prec=60)


def cost_of(terms: Terms, usage: Usage, deposit: int) -> Fraction:
    """Return the units of an answer with a status of 2xx, before what is carried."""
    if usage.units is not None:
        return Fraction(usage.units)
    rule = terms.rule
    price = _price_of(rule, usage.model or terms.estimate.model)
    seen = _seen(usage, price)
    if usage.missing is None and seen is not None:
        return seen
    least = _ZERO if seen is None else seen
    match rule.missing:
        case OnMissing.ESTIMATE:
            tokens = usage.tokens or _NOTHING
            sent = (terms.estimate.text_bytes, usage.text_bytes)
            return max(least, Fraction(_estimated(tokens, sent, price), price.per))
        case OnMissing.HOLD:
            return max(least, Fraction(deposit + terms.hold))
        case OnMissing.AMOUNT:
            return max(least, Fraction(deposit))
    assert_never(rule.missing)


def cost_if_killed(terms: Terms, deposit: int) -> int:
    """Return the whole units of a call whose process ended before its answer did."""
    match terms.rule.missing:
        case OnMissing.ESTIMATE:
            price = _price_of(terms.rule, terms.estimate.model)
            asked = _estimated(_NOTHING, (terms.estimate.text_bytes, 0), price)
            return min(MAX_UNITS, asked // price.per)
        case OnMissing.HOLD:
            return min(MAX_UNITS, deposit + terms.hold)
        case OnMissing.AMOUNT:
            return deposit
    assert_never(terms.rule.missing)


def hold_of(rule: UsageRule, estimate: Estimate, deposit: int) -> int:
    """Return the units beyond the deposit that a call may cost at most; 0 without a hold."""
    hold = rule.hold
    if hold is None:
        return 0
    announced = hold.default if estimate.output is None else estimate.output
    price = _price_of(rule, estimate.model)
    input_, *_, output = price.weights
    weighted = estimate.text_bytes * input_
    weighted += min(announced, hold.most) * BYTES_PER_TOKEN * output
    units = -(-weighted // price.per)  # rounded up, so that it covers what is carried too
    return min(MAX_UNITS, max(0, units - deposit))


class CarryBook:
    """What is left of a unit, by org and resource. Changes only synchronously."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Keep the parts of at most `capacity` slots; the one used longest ago goes first."""
        self._capacity = capacity
        self._left: OrderedDict[Slot, tuple[int, int, float]] = OrderedDict()

    def __len__(self) -> int:
        """Count the slots with a part of a unit."""
        return len(self._left)

    def charge(self, slot: Slot, units: Fraction, period_end: float, now: float) -> int:
        """Return the whole units to charge for `units` and what was left before; keep the rest.

        `period_end` (Unix seconds) is when the part that is kept becomes void.
        """
        parts, per, end = self._left.pop(slot, (0, 1, 0.0))
        total, of = units.numerator, units.denominator
        if parts and now < end:
            common = of if of == per else math.lcm(of, per)
            total = total * (common // of) + parts * (common // per)
            of = common
        whole, rest = divmod(total, of)
        if rest:
            self._left[slot] = (rest, of, period_end)
            if len(self._left) > self._capacity:
                self._left.popitem(last=False)
        return min(MAX_UNITS, whole)


@dataclass(frozen=True, slots=True)
class _Price:
    """What a rule charges for a model, in whole numbers: a fraction costs ten times as much.

    `weights` of a byte of text of each kind (a token is four), of which `per` are one unit.
    """

    weights: tuple[int, int, int, int]
    per: int


def _price_of(rule: UsageRule, model: str | None) -> _Price:
    if model is not None and len(model) > LONGEST_NAME:
        return _new_price(rule, model)
    return _kept_price(rule, model)


def _new_price(rule: UsageRule, model: str | None) -> _Price:
    times = _times(rule, model)
    exact = [Fraction(weight) * times / Fraction(rule.per) for weight in rule.weights]
    of = math.lcm(*(each.denominator for each in exact))
    input_, cached, cache_write, output = (int(each * of) for each in exact)
    return _Price((input_, cached, cache_write, output), of * BYTES_PER_TOKEN)


_kept_price = lru_cache(maxsize=PRICES_KEPT)(_new_price)


def _seen(usage: Usage, price: _Price) -> Fraction | None:
    """Price what the answer named; None where it named nothing."""
    tokens = usage.tokens
    if tokens is not None:
        weighted = _weighted(
            (
                max(0, tokens.input) * BYTES_PER_TOKEN,
                max(0, tokens.cached) * BYTES_PER_TOKEN,
                max(0, tokens.cache_write) * BYTES_PER_TOKEN,
                max(0, tokens.output) * BYTES_PER_TOKEN,
            ),
            price,
        )
        return Fraction(weighted, price.per)
    if usage.number is not None and usage.number.is_finite():
        each = Fraction(price.weights[0] * BYTES_PER_TOKEN, price.per)  # one number has one weight
        return Fraction(_bounded(usage.number)) * each
    return None


def _estimated(tokens: Tokens, sent: tuple[int, int], price: _Price) -> int:
    """Weigh the text that went both ways; what was named of each kind is the least of it."""
    asked, answered = sent
    cached = max(0, tokens.cached) * BYTES_PER_TOKEN
    cache_write = max(0, tokens.cache_write) * BYTES_PER_TOKEN
    fresh = max(tokens.input * BYTES_PER_TOKEN, asked - cached - cache_write, 0)
    output = max(tokens.output * BYTES_PER_TOKEN, answered)
    return _weighted((fresh, cached, cache_write, output), price)


def _weighted(bytes_of: tuple[int, int, int, int], price: _Price) -> int:
    weights = price.weights
    return (
        bytes_of[0] * weights[0]
        + bytes_of[1] * weights[1]
        + bytes_of[2] * weights[2]
        + bytes_of[3] * weights[3]
    )


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
