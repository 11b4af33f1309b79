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
from functools import lru_cache
from typing import Final, assert_never

from sidecar.domain.by_rule import ByRule
from sidecar.domain.model import Slot
from sidecar.domain.usage import Estimate, OnMissing, Terms, Tokens, Usage, UsageRule
from sidecar.policy.amounts import MAX_UNITS

CAPACITY: Final = 10_000
"""Orgs times resources whose part of a unit is kept; of any other less than one unit is lost."""

BYTES_PER_TOKEN: Final = 4
"""Of text, where an answer does not say how many tokens it was."""

PRICES_KEPT: Final = 256
"""Models whose price is kept, of each rule: a client chooses what models it names."""

LONGEST_NAME: Final = 256
"""Characters of a model's name whose price is kept."""

_NOTHING: Final = Tokens()
_NONE_LEFT: Final = (0, 1, 0.0)
_SMALLEST: Final = Decimal("1e-12")
_EXACT: Final = Context(prec=60)

ExactUnits = tuple[int, int]
"""Units as parts, and how many parts are one unit: exact, and not reduced."""


def cost_of(terms: Terms, usage: Usage, deposit: int) -> ExactUnits:
    """Return the units of an answer with a status of 2xx, before what is carried."""
    if usage.units is not None:
        return usage.units, 1
    rule = terms.rule
    price = _prices.of(rule).of(usage.model or terms.estimate.model)
    per = price.per
    least = -1  # nothing was named
    tokens = usage.tokens
    if tokens is not None:
        least = price.parts(
            BYTES_PER_TOKEN * max(0, tokens.input),
            BYTES_PER_TOKEN * max(0, tokens.cached),
            BYTES_PER_TOKEN * max(0, tokens.cache_write),
            BYTES_PER_TOKEN * max(0, tokens.output),
        )
    elif usage.number is not None and usage.number.is_finite():
        least = _scaled(usage.number) * price.input * BYTES_PER_TOKEN  # a number has one weight
        per *= int(1 / _SMALLEST)
    if usage.missing is None and least >= 0:
        return least, per
    match rule.missing:
        case OnMissing.ESTIMATE:
            sent = (terms.estimate.text_bytes, usage.text_bytes)
            parts = _estimated(tokens or _NOTHING, sent, price) * (per // price.per)
        case OnMissing.HOLD:
            parts = (deposit + terms.hold) * per
        case OnMissing.AMOUNT:
            parts = deposit * per
        case _:
            assert_never(rule.missing)
    return max(least, parts), per


def cost_if_killed(terms: Terms, deposit: int) -> int:
    """Return the whole units of a call whose process ended before its answer did."""
    match terms.rule.missing:
        case OnMissing.ESTIMATE:
            price = _prices.of(terms.rule).of(terms.estimate.model)
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
    price = _prices.of(rule).of(estimate.model)
    parts = price.parts(estimate.text_bytes, 0, 0, min(announced, hold.most) * BYTES_PER_TOKEN)
    units = -(-parts // price.per)  # rounded up, so that it covers what is carried too
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

    def charge(self, slot: Slot, units: ExactUnits, period_end: float, now: float) -> int:
        """Return the whole units to charge for `units` and what was left before; keep the rest.

        `period_end` (Unix seconds) is when the part that is kept becomes void.
        """
        total, of = units
        parts, per, end = self._left.pop(slot, _NONE_LEFT)
        if parts and now < end:
            if per != of:
                common = math.lcm(per, of)
                total, parts, of = total * (common // of), parts * (common // per), common
            total += parts
        whole, rest = divmod(total, of)
        if rest:
            if of != units[1]:  # else calls of different prices would make it larger and larger
                divisor = math.gcd(rest, of)
                rest, of = rest // divisor, of // divisor
            self._left[slot] = (rest, of, period_end)
            if len(self._left) > self._capacity:
                self._left.popitem(last=False)
        return min(MAX_UNITS, whole)


class _Price:
    """What a rule charges for a model, in whole numbers: a fraction costs ten times as much.

    The weights of a byte of text of each kind (a token is four), of which `per` are one unit.
    """

    __slots__ = ("_cache_write", "_cached", "_output", "input", "per")

    def __init__(self, weights: tuple[Fraction, ...]) -> None:
        """Charge `weights`, in units for a token of each kind."""
        of = math.lcm(*(each.denominator for each in weights))
        self.input, self._cached, self._cache_write, self._output = (
            int(each * of) for each in weights
        )
        self.per = of * BYTES_PER_TOKEN

    def parts(self, input_: int, cached: int, cache_write: int, output: int) -> int:
        """Weigh bytes of text of each kind."""
        return (
            input_ * self.input
            + cached * self._cached
            + cache_write * self._cache_write
            + output * self._output
        )


class _Prices:
    """The prices of a rule."""

    __slots__ = ("_any", "_of_model", "_rule")

    def __init__(self, rule: UsageRule) -> None:
        self._rule = rule
        self._any = self._priced(None)
        self._of_model = lru_cache(maxsize=PRICES_KEPT)(self._priced)

    def of(self, model: str | None) -> _Price:
        """Return the price of a model; None where that is not known."""
        if model is None or not self._rule.models:
            return self._any
        return self._priced(model) if len(model) > LONGEST_NAME else self._of_model(model)

    def _priced(self, model: str | None) -> _Price:
        each = _times(self._rule, model) / Fraction(self._rule.per)
        return _Price(tuple(Fraction(weight) * each for weight in self._rule.weights))


_prices: Final = ByRule(_Prices)


def _estimated(tokens: Tokens, sent: tuple[int, int], price: _Price) -> int:
    """Weigh the text that went both ways; what was named of each kind is the least of it."""
    asked, answered = sent
    cached = max(0, tokens.cached) * BYTES_PER_TOKEN
    cache_write = max(0, tokens.cache_write) * BYTES_PER_TOKEN
    fresh = max(tokens.input * BYTES_PER_TOKEN, asked - cached - cache_write, 0)
    output = max(tokens.output * BYTES_PER_TOKEN, answered)
    return price.parts(fresh, cached, cache_write, output)


def _scaled(number: Decimal) -> int:
    """Return a number of an answer in parts of `_SMALLEST`, within what is computed with."""
    if number <= 0:
        return 0
    if number >= MAX_UNITS:
        number = Decimal(MAX_UNITS)
    return int(_EXACT.divide(number.quantize(_SMALLEST, ROUND_HALF_EVEN, _EXACT), _SMALLEST))


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
