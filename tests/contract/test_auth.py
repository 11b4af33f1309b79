"""What the contract says of the auth host."""

from __future__ import annotations

import pytest

from tests.contract.target import Client

fact = pytest.mark.fact


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
