"""Numbers of the policy that money is computed with: exactly the digits that the file has."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sidecar.policy.source import WrittenNumber

MAX_NUMBER: Final = 10**12
"""The largest weight, and the most tokens for one unit."""

MAX_DECIMALS: Final = 12
"""Digits after the point: a price per token needs no more, and sums of them stay short."""


def parse_exact(value: object) -> Decimal:
    """Return a number of the file. Raises ValueError for what is none, or out of bounds."""
    match value:
        case bool():
            raise ValueError(f"{str(value).lower()} is not a number")
        case int():
            number = Decimal(value)
        case WrittenNumber():
            number = Decimal(value.text)
        case _:
            raise ValueError(f"{value!r} is not a number: write 2 or 0.1, without quotes")
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"{value} is out of bounds: 0 to {MAX_NUMBER}")
    exponent = number.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > MAX_DECIMALS:
        raise ValueError(f"{value} has more than {MAX_DECIMALS} digits after the point")
    return number
