"""Strictness of control bodies and seeds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sidecar.local_platform import ApiKey, OrgBody


def test_a_field_that_is_not_known_is_named() -> None:
    """A test that misspells a field must not pass by accident."""
    with pytest.raises(ValidationError, match="quota\n"):
        OrgBody.model_validate({"quota": {}})


@pytest.mark.parametrize("key", ["bbas_x", "bbk_", "bbk_ä", "bbk_a b", "bbk_a\n"])
def test_a_key_is_of_its_kind_and_fits_a_header(key: str) -> None:
    """The prefix, then visible ASCII."""
    with pytest.raises(ValidationError):
        ApiKey(key=key)


def test_quotas_take_resources_by_name() -> None:
    """Code that builds one from plain data need not import the enum."""
    assert OrgBody.model_validate({"quotas": {"ai_calls": 5}}).quotas == {"ai_calls": 5}
