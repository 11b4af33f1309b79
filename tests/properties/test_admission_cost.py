"""Costs under any sequence of calls: their sum is the whole part of the exact sum."""

from __future__ import annotations

import math
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.admission.cost import CarryBook, cost_of, hold_of
from sidecar.domain.usage import (
    Estimate,
    HoldRule,
    MissingCause,
    OnMissing,
    Terms,
    Tokens,
    Usage,
    UsageRule,
)
from sidecar.policy.amounts import MAX_UNITS
from tests.unit.admission.usage_rules import rule, terms

SLOT = ("org", "ai_calls")
NUMBERS = st.decimals(0, 1000, places=6)
COUNTS = st.integers(0, 10**7)
TOKENS = st.builds(Tokens, COUNTS, COUNTS, COUNTS, COUNTS)
RULES = st.builds(
    rule,
    per=st.decimals("0.000001", 100_000, places=6),
    weights=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    models=st.lists(st.tuples(st.sampled_from(["a*", "b", "*"]), NUMBERS), max_size=3).map(tuple),
    missing=st.sampled_from(OnMissing),
)
USAGES = st.builds(
    Usage,
    st.none() | TOKENS,
    st.none() | st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([None, "a", "ab", "b", "c"]),
    COUNTS,
    st.none() | st.sampled_from(MissingCause),
)
ESTIMATES = st.builds(
    Estimate, COUNTS, st.none() | COUNTS, st.sampled_from([None, "a", "ab", "b", "c"])
)


@given(st.lists(st.tuples(RULES, USAGES, ESTIMATES), max_size=12), st.randoms())
def test_costs_add_up_to_the_exact_sum_in_any_order(
    calls: list[tuple[UsageRule, Usage, Estimate]], order: object
) -> None:
    """No call is rounded, none costs less than nothing, and no order costs more."""
    costs_of = [cost_of(terms(one, asked), usage, 1) for one, usage, asked in calls]
    exact = [Fraction(*units) for units in costs_of]
    assert all(units >= 0 for units in exact)
    assume(sum(exact) < MAX_UNITS)  # the most that is charged for a call
    whole = math.floor(sum(exact, Fraction(0)))
    for units in (costs_of, order.sample(costs_of, len(costs_of))):  # type: ignore[attr-defined]
        book = CarryBook()
        costs = [book.charge(SLOT, each, math.inf, 0.0) for each in units]
        assert all(cost >= 0 for cost in costs)
        assert sum(costs) == whole


def defined_cost(of: Terms, usage: Usage, deposit: int) -> Fraction:
    """Return a cost as usage.md defines it, in fractions."""
    rule_, model = of.rule, usage.model or of.estimate.model
    fits = (times for name, times in rule_.models if model is not None and fnmatchcase(model, name))
    times = Fraction(next(fits, 1)) / Fraction(rule_.per)
    weights = [Fraction(weight) * times for weight in rule_.weights]
    seen = None
    tokens = usage.tokens
    if tokens is not None:
        named = (tokens.input, tokens.cached, tokens.cache_write, tokens.output)
        seen = sum((n * w for n, w in zip(named, weights, strict=True)), Fraction(0))
    elif usage.number is not None and usage.number.is_finite():
        bounded = min(max(usage.number, Decimal(0)), Decimal(MAX_UNITS))
        seen = Fraction(round(Fraction(bounded) * 10**12), 10**12) * weights[0]
    if seen is not None and usage.missing is None:
        return seen
    least = seen or Fraction(0)
    if rule_.missing is OnMissing.AMOUNT:
        return max(least, Fraction(deposit))
    if rule_.missing is OnMissing.HOLD:
        return max(least, Fraction(deposit + of.hold))
    tokens = tokens or Tokens()
    asked = Fraction(of.estimate.text_bytes, 4) - tokens.cached - tokens.cache_write
    fresh = max(Fraction(tokens.input), asked, Fraction(0))
    output = max(Fraction(tokens.output), Fraction(usage.text_bytes, 4))
    counts = (fresh, Fraction(tokens.cached), Fraction(tokens.cache_write), output)
    return max(least, sum((n * w for n, w in zip(counts, weights, strict=True)), Fraction(0)))


@given(RULES, USAGES, ESTIMATES, st.integers(1, 100), st.integers(0, 1000))
def test_a_cost_in_whole_numbers_is_the_exact_one(
    one: UsageRule, usage: Usage, asked: Estimate, deposit: int, hold: int
) -> None:
    """Integers are for speed: they differ from fractions in nothing."""
    of = terms(one, asked, hold=hold)
    assert Fraction(*cost_of(of, usage, deposit)) == defined_cost(of, usage, deposit)


@given(RULES, TOKENS, ESTIMATES, st.sampled_from(MissingCause), COUNTS)
def test_what_was_named_is_never_undercut(
    one: UsageRule, tokens: Tokens, asked: Estimate, cause: MissingCause, text: int
) -> None:
    """A cut answer costs at least what it had named, under each rule of `missing`."""
    whole = Fraction(*cost_of(terms(one, asked), Usage(tokens, None, None, text, None), 1))
    cut = Fraction(*cost_of(terms(one, asked), Usage(tokens, None, None, text, cause), 1))
    assert cut >= whole


@given(RULES, ESTIMATES, st.integers(1, 100), st.fractions(0, 1).filter(lambda part: part < 1))
def test_a_hold_covers_what_it_estimates_and_what_is_carried(
    one: UsageRule, asked: Estimate, deposit: int, carried: Fraction
) -> None:
    """A call that uses what it announced never costs more than deposit and hold."""
    held_by = rule(
        per=one.per, weights=one.weights, models=one.models, hold=HoldRule((), 10, 10**7)
    )
    hold = hold_of(held_by, asked, deposit)
    output = 10 if asked.output is None else asked.output
    usage = Usage(Tokens(asked.text_bytes // 4, 0, 0, output), None, None, 0, None)
    book = CarryBook()
    book.charge(SLOT, carried.as_integer_ratio(), math.inf, 0.0)
    units = cost_of(terms(held_by, asked), usage, deposit)
    assert book.charge(SLOT, units, math.inf, 0.0) <= hold + deposit


def test_a_price_per_token_has_no_error_of_floats() -> None:
    """A million tokens at 0.1 are 100,000 units."""
    book = CarryBook()
    tenth = rule(weights=(Decimal("0.1"),) * 4)
    one = cost_of(terms(tenth), Usage(Tokens(1), None, None, 0, None), 1)
    assert sum(book.charge(SLOT, one, math.inf, 0.0) for _ in range(1000)) == 100
