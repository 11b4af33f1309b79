"""Which claims make an identity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.domain.quota import Quota
from sidecar.identity.claims import read_claims
from tests.unit.identity.mint import CLAIMS, ISSUER, NOW, changed

SNAPSHOT = {
    "used": 3,
    "limit": 25,
    "remaining": 22,
    "period": "month",
    "reset_at": "2025-11-01T00:00:00Z",
}


def identity_of(**claims: object) -> Identity:
    """Read the usual claims with these instead."""
    read = read_claims(changed(claims), ISSUER)
    assert isinstance(read, Identity)
    return read


def test_all_claims_of_the_contract() -> None:
    """Every claim of the contract arrives in the identity."""
    assert identity_of(iat=int(NOW), quotas={"ai_calls": SNAPSHOT}) == Identity(
        org_id="org_acme",
        user_id="user_1",
        role="org_owner",
        plan="pro",
        apps=frozenset({"acme-notes"}),
        quotas={"ai_calls": Quota("ai_calls", 25, 3, 22, "month", 1_761_955_200.0)},
        issued_at=NOW,
        expires_at=NOW + 1200,
    )


def test_least_claims() -> None:
    """An org and an end are enough: the rest is empty, and no app is entitled."""
    read = read_claims({"exp": 1, "org_id": "o"}, None)
    assert read == Identity("o", "", "", "", frozenset(), {}, None, 1.0)


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        ISSUER + "/",
        ISSUER.upper(),
        " " + ISSUER,
        ISSUER + ".evil.example",
        "http://auth.bizbasics.ai",
        [ISSUER],
        {"iss": ISSUER},
        1,
    ],
)
def test_other_issuers(issuer: object) -> None:
    """The issuer equals to the letter; one that is only similar is refused (conformance 29)."""
    assert read_claims(changed({"iss": issuer}), ISSUER) is IdentityFailure.WRONG_ISSUER


def test_session_issuer_is_not_checked() -> None:
    """No issuer of a product's session is published, so what it says is not looked at."""
    assert isinstance(read_claims(changed({"iss": "anything"}), None), Identity)


BAD_TIMES = ["1760000000", "", True, False, [], {}, -1, -0.5, 1e400, 1e18, 10**30, 10**4000]


@pytest.mark.parametrize("value", [None, *BAD_TIMES, int(NOW) * 1000])
def test_impossible_end(value: object) -> None:
    """The end is a finite number within the calendar, and must be there (conformance 29)."""
    assert read_claims(changed({"exp": value}), ISSUER) is IdentityFailure.BAD_CLAIMS


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize("value", BAD_TIMES)
def test_impossible_beginning(claim: str, value: object) -> None:
    """An optional time that is there is held to the same."""
    assert read_claims(changed({claim: value}), ISSUER) is IdentityFailure.BAD_CLAIMS


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_null_is_no_time(claim: str) -> None:
    """A null time is a time of the wrong type, not an absent one."""
    assert read_claims({**CLAIMS, claim: None}, ISSUER) is IdentityFailure.BAD_CLAIMS


def test_times_may_have_fractions() -> None:
    """A NumericDate may have a fraction (RFC 7519 section 2)."""
    assert identity_of(exp=NOW + 0.25).expires_at == NOW + 0.25


BAD_TEXTS = [
    1,
    True,
    [],
    {},
    " a",
    "a ",
    "a\r\nx-bb-org-id: other",
    "a\nb",
    "a\x00b",
    "a\x7fb",
    "\u00fcber",
    "\ud800",
    "x" * 257,
]


@pytest.mark.parametrize("value", [None, "", "a b", "x" * 201, *BAD_TEXTS])
def test_impossible_org(value: object) -> None:
    """The org is there, visible ASCII, without spaces, and of bounded length."""
    assert read_claims(changed({"org_id": value}), ISSUER) is IdentityFailure.BAD_CLAIMS


def test_null_org() -> None:
    """A null org is no org."""
    assert read_claims({**CLAIMS, "org_id": None}, ISSUER) is IdentityFailure.BAD_CLAIMS


@pytest.mark.parametrize("claim", ["user_id", "role", "plan"])
@pytest.mark.parametrize("value", BAD_TEXTS)
def test_impossible_text(claim: str, value: object) -> None:
    """A text that no header carries unchanged is refused, not escaped."""
    assert read_claims(changed({claim: value}), ISSUER) is IdentityFailure.BAD_CLAIMS


@pytest.mark.parametrize("claim", ["user_id", "role", "plan"])
def test_null_text_is_absent(claim: str) -> None:
    """A null text is an absent one: many issuers write it so."""
    read = read_claims({**CLAIMS, claim: None}, ISSUER)
    assert isinstance(read, Identity)
    assert getattr(read, claim) == ""


def test_text_may_hold_spaces_inside() -> None:
    """A plan of two words is carried as it is."""
    assert identity_of(plan="pro plus").plan == "pro plus"


@pytest.mark.parametrize("value", ["acme-notes", {"acme-notes": True}, [1], ["a", None], 1, True])
def test_impossible_apps(value: object) -> None:
    """The apps are a list of strings: nothing else entitles anyone."""
    assert read_claims(changed({"apps": value}), ISSUER) is IdentityFailure.BAD_CLAIMS


@pytest.mark.parametrize("claims", [{"apps": []}, {"apps": None}])
def test_no_apps(claims: dict[str, Any]) -> None:
    """No apps entitle to none."""
    assert identity_of(**claims).apps == frozenset()


@pytest.mark.parametrize("value", [[], "x", 1, {"ai_calls": None}, {"ai_calls": {"limit": 1}}])
def test_bad_snapshot_is_left_out(value: object) -> None:
    """A snapshot only informs, so a bad one is no reason to refuse the caller."""
    assert identity_of(quotas=value).quotas == {}


def test_bad_entry_leaves_the_others() -> None:
    """One bad entry of the snapshot does not take the good ones with it."""
    bad = json.loads(json.dumps(SNAPSHOT)) | {"remaining": 26}
    quotas = identity_of(quotas={"ai_calls": SNAPSHOT, "seats": bad}).quotas
    assert list(quotas) == ["ai_calls"]
