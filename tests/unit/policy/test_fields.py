"""Values of the policy, each on its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sidecar.policy import fields


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (fields.Method, "POST"),
        (fields.Method, "M-SEARCH"),
        (fields.HeaderName, "x-tier"),
        (fields.HeaderValue, "gold, or silver"),
        (fields.CookieName, "acme-notes_session"),
        (fields.RouteName, "chat.v1"),
        (fields.PolicySlug, "acme-notes"),
        (fields.EnvironmentName, "APP_SESSION_SECRET"),
        (fields.Pointer, "/a/b"),
        (fields.PathPattern, "/a/**"),
        (fields.DenyStatus, 402),
        (fields.Units, 1),
    ],
)
def test_good_values(kind: Any, value: object) -> None:
    """A value of its kind is taken as it is."""
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (fields.Method, "post"),
        (fields.Method, "POST\n"),
        (fields.Method, ""),
        (fields.HeaderName, "x tier"),
        (fields.HeaderName, "x-tier:"),
        (fields.HeaderName, "x_tier"),
        (fields.HeaderName, "X-BB-Org-Id"),
        (fields.HeaderValue, " gold"),
        (fields.HeaderValue, "go\nld"),
        (fields.HeaderValue, "золото"),
        (fields.CookieName, "a=b"),
        (fields.RouteName, "a b"),
        (fields.RouteName, "a" * 65),
        (fields.PolicySlug, "Acme"),
        (fields.EnvironmentName, "1X"),
        (fields.Pointer, "n"),
        (fields.PathPattern, "/a%20"),
        (fields.DenyStatus, 401),
        (fields.DenyStatus, 200),
        (fields.Units, 0),
        (fields.Units, 2**53),
    ],
)
def test_bad_values(kind: Any, value: object) -> None:
    """A value that is not of its kind is refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_header_names_are_compared_in_lower_case() -> None:
    """A header name is kept as the head parser gives it."""
    assert TypeAdapter(fields.HeaderName).validate_python("X-Tier") == "x-tier"
