"""Numbers that money is computed with: the digits of the file, within bounds."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sidecar.policy.exact_numbers import MAX_NUMBER, parse_exact
from sidecar.policy.source import WrittenNumber


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, Decimal(3)),
        (0, Decimal(0)),
        (WrittenNumber("0.1"), Decimal("0.1")),
        (WrittenNumber("1e-6"), Decimal("0.000001")),
        (WrittenNumber("123456789.123456789012"), Decimal("123456789.123456789012")),
    ],
)
def test_digits_are_kept(value: object, number: Decimal) -> None:
    """A float would make 0.1000000000000000055 of 0.1."""
    assert parse_exact(value) == number


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "true is not a number"),
        ("1", "'1' is not a number: write 2 or 0.1, without quotes"),
        (0.1, "0.1 is not a number"),
        (-1, "-1 is out of bounds"),
        (MAX_NUMBER + 1, "is out of bounds: 0 to 1000000000000"),
        (WrittenNumber("1e-13"), "has more than 12 digits after the point"),
    ],
)
def test_anything_else_is_refused(value: object, problem: str) -> None:
    """What is no number of the file, and what would make sums too long."""
    with pytest.raises(ValueError, match=problem):
        parse_exact(value)
