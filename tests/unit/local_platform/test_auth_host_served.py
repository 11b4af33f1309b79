"""Key set, tokens, rotation."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from sidecar.domain.errors import UserError
from sidecar.local_platform import LocalPlatform
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme

VERIFY = "/api/v1/internal/verify-app-token"


async def key_set(caller: acme.Caller) -> dict[str, Any]:
    """The published keys by kid."""
    _, body = await caller.ask("GET", "/.well-known/jwks.json")
    return {key["kid"]: key for key in body["keys"]}


async def read(caller: acme.Caller, token: str) -> dict[str, Any]:
    """The claims of a token, verified as a product would, by the published key of its kid."""
    key = (await key_set(caller))[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        jwt.PyJWK(key).key,
        algorithms=["RS256"],
        options={"verify_exp": False, "verify_iat": False},
    )
    return claims


async def test_the_key_set_has_the_contracts_form(caller: acme.Caller) -> None:
    """One RSA key with exactly these members; no private part."""
    (key,) = (await key_set(caller)).values()

    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")


async def test_a_token_has_the_contracts_claims(
    caller: acme.Caller, clock: TurnedClock, platform: LocalPlatform
) -> None:
    """Who, which org, what it may use, the quota snapshot, and 20 minutes."""
    await caller.consume(amount=5)
    status, body = await caller.control("POST", "/token", {"org_id": acme.ORG})
    now = int(clock.time())
    _, quotas = await caller.read("/v1/quota/status")

    assert status == 200
    assert await read(caller, body["token"]) == {
        "user_id": "ann",
        "email": "ann@acme.test",
        "org_id": acme.ORG,
        "role": "org_owner",
        "plan": "pro",
        "apps": ["acme-notes"],
        "quotas": quotas["quotas"],
        "iss": platform.url,
        "iat": now,
        "exp": now + 1200,
    }


async def test_what_is_asked_for_is_in_the_token(caller: acme.Caller) -> None:
    """User, role, life, and any claim; null leaves one out."""
    _, body = await caller.control(
        "POST",
        "/token",
        {
            "org_id": acme.ORG,
            "user_id": "bob",
            "role": "member",
            "ttl": 5,
            "claims": {"plan": "free", "iss": 7, "extra": [1], "email": None},
        },
    )
    claims = await read(caller, body["token"])

    assert (claims["user_id"], claims["role"], claims["plan"]) == ("bob", "member", "free")
    assert (claims["iss"], claims["extra"], claims["exp"] - claims["iat"]) == (7, [1], 5)
    assert "email" not in claims


async def test_the_issuer_is_the_url_that_was_reached(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """A platform called by the name localhost signs as that."""
    caller.url = platform.url.replace("127.0.0.1", "localhost")
    _, body = await caller.control("POST", "/token", {"org_id": acme.ORG})

    assert (await read(caller, body["token"]))["iss"] == caller.url


async def test_an_issuer_can_be_set(caller: acme.Caller) -> None:
    """Then every token carries it, however the platform was reached."""
    other = LocalPlatform(seed=acme.seed(), issuer="https://auth.example.test")
    async with other:
        token = other.mint_token(acme.ORG)

    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iss"] == "https://auth.example.test"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"org_id": "org_nobody"}, 404),
        ({}, 422),
        ({"org_id": acme.ORG, "ttl": 0}, 422),
        ({"org_id": acme.ORG, "time_to_live": 5}, 422),
    ],
)
async def test_a_token_that_cannot_be_made(
    caller: acme.Caller, body: dict[str, Any], status: int
) -> None:
    """Unknown org; fields missing, wrong or unknown."""
    assert (await caller.control("POST", "/token", body))[0] == status


async def test_minting_in_process_names_the_mistake(platform: LocalPlatform) -> None:
    """A UserError, for the command line to print."""
    with pytest.raises(UserError, match="no org 'org_nobody'"):
        platform.mint_token("org_nobody")
    with pytest.raises(UserError, match="ttl"):
        platform.mint_token(acme.ORG, ttl=0)


async def test_after_rotation_the_new_key_signs_and_both_are_published(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """Tokens of before stay good."""
    old = platform.mint_token(acme.ORG)
    _, body = await caller.control("POST", "/rotate-keys")

    assert jwt.get_unverified_header(platform.mint_token(acme.ORG))["kid"] == body["kid"]
    assert sorted(await key_set(caller)) == sorted(body["published"])
    assert (await read(caller, old))["org_id"] == acme.ORG


async def test_an_old_key_is_withdrawn_after_an_hour(
    caller: acme.Caller, clock: TurnedClock
) -> None:
    """Later than any token of its own lives."""
    _, body = await caller.control("POST", "/rotate-keys")
    clock.advance(3599)
    assert len(await key_set(caller)) == 2
    clock.advance(1)

    assert list(await key_set(caller)) == [body["kid"]]


async def test_an_old_key_can_be_withdrawn_at_once(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """As after a leak; its tokens die with it."""
    old = platform.mint_token(acme.ORG)
    _, body = await caller.control("POST", "/rotate-keys", {"withdraw": True})

    assert list(await key_set(caller)) == [body["kid"]]
    status, _ = await caller.ask("GET", "/v1/quota/status", headers={"Cookie": f"bb_at={old}"})
    assert status == 401


async def test_verify_tells_who_a_token_speaks_for(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """All fields of the contract."""
    status, body = await caller.ask(
        "GET",
        VERIFY,
        params={"token": platform.mint_token(acme.ORG, user_id="ann")},
        headers={"X-Internal-Key": acme.NOTES_KEY},
    )

    assert status == 200
    assert body == {
        "user_id": "ann",
        "email": "ann@acme.test",
        "full_name": "ann",
        "org_id": acme.ORG,
        "role": "org_owner",
        "apps": ["acme-notes"],
        "plan": "pro",
        "is_platform_admin": False,
    }


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": 1}, "expired"),
        ({"exp": 10**400}, None),
        ({"org_id": 7}, "org_id"),
        ({"org_id": "org_gone"}, "org"),
    ],
)
async def test_verify_refuses_a_token_that_says_too_little(
    caller: acme.Caller, platform: LocalPlatform, claims: dict[str, Any], why: str | None
) -> None:
    """Signed by us, and still not good; a far end is no crash."""
    status, body = await caller.ask(
        "GET",
        VERIFY,
        params={"token": platform.mint_token(acme.ORG, claims=claims)},
        headers={"X-Internal-Key": acme.NOTES_KEY},
    )

    assert status == (200 if why is None else 401)
    assert why is None or why in body["detail"]


@pytest.mark.parametrize(
    ("query", "internal_key", "status"),
    [
        ("?token=x", "bbas_wrong", 401),
        ("?token=x", acme.NOTES_KEY, 401),
        ("", acme.NOTES_KEY, 422),
        ("?token=x&token=y", acme.NOTES_KEY, 422),
    ],
)
async def test_verify_needs_a_secret_and_one_token(
    caller: acme.Caller, query: str, internal_key: str, status: int
) -> None:
    """Who asks comes first, then what is asked."""
    answer = await caller.ask("GET", VERIFY + query, headers={"X-Internal-Key": internal_key})

    assert answer[0] == status
