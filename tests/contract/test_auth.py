"""What the contract says of the auth host."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from sidecar.domain.quota import read_quota
from tests.contract.target import Client

fact = pytest.mark.fact


def token_of(platform: Client) -> str:
    """The `bb_at` to look at."""
    if not platform.target.token:
        pytest.skip("no BIZBASICS_CONTRACT_TOKEN to look at")
    return platform.target.token


async def claims_of(platform: Client) -> dict[str, Any]:
    """The claims of the `bb_at`, verified with the key that its `kid` names."""
    token = token_of(platform)
    _, body = await platform.ask("GET", f"{platform.target.auth_url}/.well-known/jwks.json")
    keys = {key["kid"]: key for key in body["keys"]}
    key = jwt.PyJWK(keys[jwt.get_unverified_header(token)["kid"]])
    claims: dict[str, Any] = jwt.decode(
        token, key.key, algorithms=["RS256"], options={"verify_aud": False}
    )
    return claims


@fact("sso", "the key set holds RSA signing keys for RS256, each with kid n e")
async def test_the_key_set(platform: Client) -> None:
    """Public parts alone."""
    status, body = await platform.ask("GET", f"{platform.target.auth_url}/.well-known/jwks.json")

    assert status == 200
    assert body["keys"]
    for key in body["keys"]:
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
        assert key["kid"]
        assert key["n"]
        assert key["e"]
        assert "d" not in key


@fact("scaffold", "verify-app-token refuses a caller without a good X-Internal-Key")
async def test_verify_needs_the_secret(platform: Client) -> None:
    """401."""
    url = f"{platform.target.auth_url}/api/v1/internal/verify-app-token?token=x"

    assert (await platform.ask("GET", url, headers={"X-Internal-Key": "bbas_wrong"}))[0] == 401


@fact("sso", "a bb_at is RS256 by a key of the key set, its iss is the auth host")
async def test_the_token_is_the_auth_hosts(platform: Client) -> None:
    """What the sidecar verifies it by."""
    assert (await claims_of(platform))["iss"].rstrip("/") == platform.target.auth_url


@fact("sso", "a bb_at claims user_id email org_id role plan apps quotas iss exp")
async def test_the_tokens_claims(platform: Client) -> None:
    """The product is among the org's apps."""
    claims = await claims_of(platform)

    assert set(claims) >= {
        "user_id", "email", "org_id", "role", "plan", "apps", "quotas", "iss", "exp",
    }  # fmt: skip
    assert claims["org_id"] == platform.target.org_id
    assert platform.target.product in claims["apps"]


@fact("ours", "quotas in a bb_at are as in quota status")
async def test_the_tokens_quotas(platform: Client) -> None:
    """Read by the same code."""
    quotas = (await claims_of(platform))["quotas"]
    resource = platform.target.resource

    assert read_quota(quotas[resource], resource) is not None


@fact("ours", "the platform's cookie on user-facing calls is bb_at")
async def test_the_cookie(platform: Client) -> None:
    """In place of a `bbk_` key."""
    headers = {"Cookie": f"bb_at={token_of(platform)}"}
    url = f"{platform.target.url}/v1/quota/status"

    assert (await platform.ask("GET", url, headers=headers))[0] == 200
