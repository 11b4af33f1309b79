"""What a call costs: exact, and never nothing for what is missing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from sidecar.admission.cost import CarryBook, cost_if_killed, cost_of, hold_of
from sidecar.domain.usage import (
    Estimate,
    HeaderUsage,
    HoldRule,
    MissingCause,
    OnMissing,
    Terms,
    Usage,
)
from sidecar.policy.amounts import MAX_UNITS
from tests.unit.admission.usage_rules import HOLD, RULE, rule, terms, unnamed, used

SLOT = ("org", "ai_calls")
WEIGHTS = (Decimal(1), Decimal("0.1"), Decimal("1.25"), Decimal(4))
MODELS = (("gpt-big*", Decimal(5)), ("*-mini", Decimal("0.5")), ("a*b*c", Decimal(7)))


def exact_cost(of: Terms, usage: Usage, deposit: int) -> Fraction:
    """Return a cost as a fraction."""
    return Fraction(*cost_of(of, usage, deposit))


def test_each_kind_of_token_has_its_weight() -> None:
    """(100 + 0.1 x 50 + 1.25 x 8 + 4 x 30) / 1000, exactly."""
    usage = used(100, 30, cached=50, cache_write=8)
    found = exact_cost(terms(rule(per=Decimal(1000), weights=WEIGHTS)), usage, 1)
    assert found == Fraction(235, 1000)


@pytest.mark.parametrize(
    ("answered", "asked", "times"),
    [
        ("gpt-big-2", None, 5),
        ("gpt-big", "gpt-mini", 5),
        (None, "gpt-big-1", 5),
        ("gpt-bi", None, 1),
        ("x-mini", None, Fraction(1, 2)),
        ("abc", None, 7),
        ("a--b--c", None, 7),
        ("ac", None, 1),
        ("acb", None, 1),
        (None, None, 1),
    ],
)
def test_the_model_is_the_answers_or_else_the_requests(
    answered: str | None, asked: str | None, times: Fraction
) -> None:
    """The first pattern that fits; 1 without any."""
    found = exact_cost(
        terms(rule(models=MODELS), Estimate(0, None, asked)), used(1, model=answered), 1
    )
    assert found == times


def test_parts_of_a_unit_are_carried() -> None:
    """Three thirds are one unit, at the third call."""
    book = CarryBook()
    third = (1, 3)
    assert [book.charge(SLOT, third, 100.0, 0.0) for _ in range(4)] == [0, 0, 1, 0]


def test_parts_of_different_prices_add_up() -> None:
    """A half and a third and a sixth are one unit, and what is kept stays small."""
    book = CarryBook()
    parts = [(1, 2), (1, 3), (1, 6), (10**15, 10**16), (9, 10)]
    assert [book.charge(SLOT, each, 100.0, 0.0) for each in parts] == [0, 0, 1, 0, 1]


def test_another_org_has_its_own_part() -> None:
    """What one leaves is not charged to another."""
    book = CarryBook()
    assert book.charge(SLOT, (1, 2), 100.0, 0.0) == 0
    assert book.charge(("other", "ai_calls"), (1, 2), 100.0, 0.0) == 0


def test_a_part_ends_with_its_period() -> None:
    """Last month's is void this month."""
    book = CarryBook()
    assert book.charge(SLOT, (9, 10), 100.0, 99.0) == 0
    assert book.charge(SLOT, (9, 10), 200.0, 100.0) == 0


def test_the_book_is_bounded() -> None:
    """The org used longest ago loses less than a unit."""
    book = CarryBook(capacity=2)
    for org in ("a", "b", "a", "c"):
        book.charge((org, "ai_calls"), (1, 4), 100.0, 0.0)
    assert len(book) == 2
    assert book.charge(("a", "ai_calls"), (1, 2), 100.0, 0.0) == 1
    assert book.charge(("b", "ai_calls"), (3, 4), 100.0, 0.0) == 0


def test_missing_usage_is_estimated_by_text() -> None:
    """400 bytes asked and 80 answered are 100 and 20 tokens, each with its weight."""
    found = exact_cost(terms(rule(weights=WEIGHTS), Estimate(400, None, None)), unnamed(80), 1)
    assert found == 100 + 4 * 20


def test_what_was_named_before_a_cut_is_the_least_of_an_estimate() -> None:
    """Anthropic's input is known at the start: 90 cached and 30 more of 400 bytes."""
    seen = replace(used(30, 1, cached=90), missing=MissingCause.CUT, text_bytes=80)
    found = exact_cost(terms(rule(weights=WEIGHTS), Estimate(400, None, None)), seen, 1)
    assert found == 30 + 9 + 4 * 20


@pytest.mark.parametrize(("missing", "units"), [(OnMissing.HOLD, 3 + 40), (OnMissing.AMOUNT, 3)])
def test_missing_usage_costs_what_the_policy_says(missing: OnMissing, units: int) -> None:
    """The deposit with the whole hold, or the deposit."""
    found = exact_cost(terms(rule(missing=missing, hold=HOLD), hold=40), unnamed(9999), 3)
    assert found == units


@pytest.mark.parametrize("missing", OnMissing)
def test_what_was_named_is_a_lower_bound(missing: OnMissing) -> None:
    """A cut answer does not cost less than what it had named."""
    seen = replace(used(500, 500), missing=MissingCause.CUT)
    assert exact_cost(terms(rule(missing=missing), hold=5), seen, 1) == 1000


def test_an_answer_that_names_nothing_is_missing_whatever_it_says() -> None:
    """Neither tokens nor number: it is no answer of 0 units."""
    nothing = Usage(None, None, None, 40, None)
    assert exact_cost(terms(), nothing, 1) == 10


@pytest.mark.parametrize(
    ("number", "units"),
    [
        ("7", Fraction(7, 2)),
        ("0.5", Fraction(1, 4)),
        ("-3", Fraction(0)),
        ("1e999999", Fraction(MAX_UNITS, 2)),
        ("1e-999999", Fraction(0)),
    ],
)
def test_a_number_of_the_answer_is_bounded(number: str, units: Fraction) -> None:
    """An exponent of a million digits costs no time."""
    usage = Usage(None, Decimal(number), None, 0, None)
    plain = rule(format=HeaderUsage(b"x-units"), per=Decimal(2))
    assert exact_cost(terms(plain), usage, 1) == units


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_missing(number: str) -> None:
    """It is estimated."""
    usage = Usage(None, Decimal(number), None, 8, None)
    assert exact_cost(terms(), usage, 1) == 2


@pytest.mark.parametrize(
    ("estimate", "units"),
    [
        (Estimate(400, 50, None), 100 + 4 * 50 - 3),
        (Estimate(400, None, None), 100 + 4 * 10 - 3),
        (Estimate(0, 10**9, None), 4 * 1000 - 3),
        (Estimate(0, 0, None), 0),
        (Estimate(0, 50, "gpt-big"), 5 * 4 * 50 - 3),
        (Estimate(2, 1, None), 2),  # 4.5 units in whole ones
    ],
)
def test_a_hold_is_the_worst_case_beyond_the_deposit(estimate: Estimate, units: int) -> None:
    """The request's text, and the output that it announces, within bounds."""
    assert hold_of(rule(weights=WEIGHTS, models=MODELS, hold=HOLD), estimate, 3) == units


def test_without_a_hold_nothing_is_held() -> None:
    """However much a call announces."""
    assert hold_of(RULE, Estimate(10**6, 10**6, None), 1) == 0


def test_a_killed_call_costs_the_requests_part() -> None:
    """Nothing is known of its answer any more."""
    asked = Estimate(402, None, None)
    assert cost_if_killed(terms(estimate=asked), 1) == 100
    assert cost_if_killed(terms(rule(missing=OnMissing.HOLD), asked, hold=9), 1) == 10
    assert cost_if_killed(terms(rule(missing=OnMissing.AMOUNT), asked), 1) == 1


def test_no_cost_is_more_than_the_platform_can_count() -> None:
    """JSON numbers beyond it lose units."""
    assert CarryBook().charge(SLOT, (10**30, 1), 100.0, 0.0) == MAX_UNITS
    most = rule(hold=HoldRule((("n",),), 1, 10**15), weights=(Decimal(10**12),) * 4)
    assert hold_of(most, Estimate(0, 10**15, None), 1) == MAX_UNITS
