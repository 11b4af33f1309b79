"""Strictness of bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.local_platform.wire import ConsumeBody, RecentQuery

GOOD = {"org_id": "o", "resource": "ai_calls"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(json_values)
def test_an_amount_is_a_positive_whole_number_or_refused(value: Any) -> None:
    """`true`, `1.0` and `"1"` are none."""
    text = json.dumps({**GOOD, "amount": value})
    if type(value) is int and 1 <= value <= 2**53 - 1:
        assert ConsumeBody.model_validate_json(text).amount == value
    else:
        with pytest.raises(ValidationError):
            ConsumeBody.model_validate_json(text)


def test_fields_that_the_contract_does_not_name_are_ignored() -> None:
    """As the platform does, so that a newer client still works [ours]."""
    assert ConsumeBody.model_validate_json(json.dumps({**GOOD, "later": 1})).amount == 1


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
