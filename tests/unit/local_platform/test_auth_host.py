"""Whom a token is for when it is not said."""

from __future__ import annotations

import jwt
import pytest

from sidecar.local_platform import LocalPlatform
from tests.unit.local_platform import acme


@pytest.mark.parametrize(
    ("org_id", "user_id", "expected"),
    [
        (acme.ORG, None, ("ann", "ann@acme.test", "org_owner")),
        (acme.ORG, "bob", ("bob", "bob@example.invalid", "org_owner")),
        ("org_bare", None, ("user_dev", "user_dev@example.invalid", "org_owner")),
    ],
)
def test_a_member_is_known_and_a_stranger_made_up(
    platform: LocalPlatform, org_id: str, user_id: str | None, expected: tuple[str, ...]
) -> None:
    """The org's first member by default; anybody by name."""
    token = platform.mint_token(org_id, user_id=user_id)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert (claims["user_id"], claims["email"], claims["role"]) == expected
