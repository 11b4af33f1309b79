"""Whole numbers in a query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.local_platform.paging import RecentQuery


@given(st.text(max_size=8))
def test_a_limit_is_plain_digits_in_range_or_refused(text: str) -> None:
    """No reading of a number but the plain one."""
    plain = text.isascii() and text.isdigit() and 1 <= int(text) <= 200
    if plain:
        assert RecentQuery.model_validate({"limit": text}).limit == int(text)
    else:
        with pytest.raises(ValidationError):
            RecentQuery.model_validate({"limit": text})


def test_a_limit_left_out_is_fifty() -> None:
    """The list's own length."""
    assert RecentQuery.model_validate({}).limit == 50
