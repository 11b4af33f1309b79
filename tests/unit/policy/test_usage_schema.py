"""The model of `usage`: its JSON Schema takes what the loader takes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sidecar.policy.usage_schema import MAX_HOLD_POINTERS, HoldSpec, UsageSpec


def test_one_pointer_is_a_list_of_one() -> None:
    """Most APIs have one name for it."""
    assert HoldSpec.model_validate({"json": "/max_tokens", "max": 5}).json_ == ["/max_tokens"]


def test_the_schema_takes_a_pointer_and_a_list() -> None:
    """Editors must not mark what `check` accepts."""
    forms = HoldSpec.model_json_schema(by_alias=True)["properties"]["json"]["anyOf"]
    assert [form["type"] for form in forms] == ["string", "array"]


def test_pointers_are_bounded() -> None:
    """Each is one more look at the body."""
    many = [f"/{n}" for n in range(MAX_HOLD_POINTERS + 1)]
    with pytest.raises(ValidationError):
        HoldSpec.model_validate({"json": many, "max": 5})


def test_a_format_is_required() -> None:
    """Nothing can be read without it."""
    with pytest.raises(ValidationError, match="format"):
        UsageSpec.model_validate({})
