"""Whom a token is for when it is not said."""

from __future__ import annotations

import jwt
import pytest

from sidecar.local_platform import LocalPlatform, Member, OrgBody
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


def test_the_longest_name_has_an_address_too(platform: LocalPlatform) -> None:
    """It is longer than a name may be."""
    platform.put_org("org_long", OrgBody(members=[Member(user_id="u" * 256)]))
    token = platform.mint_token("org_long")
    claims = jwt.decode(token, options={"verify_signature": False})

    assert claims["email"] == "u" * 256 + "@example.invalid"
    assert platform.mint_token("org_long", user_id="v" * 256)
