"""What a call may come to, by the engine's verdict table."""

from __future__ import annotations

import pytest

from sidecar.admission.findings import (
    Free,
    TooLong,
    unmetered_finding,
)
from sidecar.commands.prospects import of_metered, of_unmetered
from sidecar.domain.model import Reason
from sidecar.policy.compiled import Meter, Policy, UnsafePath
from sidecar.policy.load import load_policy


def policy_of(routes: str, unmatched: str = "allow") -> Policy:
    """Return a policy with these routes."""
    text = f"{{version: 1, product: acme, routes: [{routes}], unmatched: {unmatched}}}"
    return load_policy(text.encode(), file="p", environ={})


def meter(settings: str) -> Meter:
    """Return the meter of a policy with some settings."""
    routes = f"{{name: all, match: {{path: /**}}, meter: {{{settings}}}}}"
    found = policy_of(routes).routes[0].meter
    assert found is not None
    return found


ALWAYS = {
    "within_quota": 0,
    "unlimited": 0,
    "unauthenticated": 401,
    "identity_unavailable": 503,
    "not_entitled": 403,
}


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ("", {"credited": 0, "over_quota": 429, "fail_open": 0, "fail_open_spent": 503}),
        (
            "deny_status: 402, refund: never",
            {"over_quota": 402, "fail_open": 0, "fail_open_spent": 503},
        ),
        (
            "on_over_quota: allow, on_platform_error: fail_closed, refund: never",
            {"over_quota_allowed": 0, "fail_closed": 503},
        ),
        (
            "on_platform_error: last_known, accuracy: lease",
            {"leased": 0, "credited": 0, "over_quota": 429, "last_known": 0, "fail_closed": 503},
        ),
        (
            "replay: reject, amount: {json: /n}, refund: never, on_platform_error: fail_closed",
            {"over_quota": 429, "fail_closed": 503, "replayed": 409, "overloaded": 503},
        ),
    ],
)
def test_each_setting_adds_its_reasons(settings: str, reasons: dict[str, int]) -> None:
    """With their statuses."""
    found = {p.reason.value: p.status for p in of_metered(meter(settings), 2, "acme")}
    assert found == ALWAYS | reasons


def test_in_shadow_every_refusal_is_a_shadow() -> None:
    """Only what cannot be forwarded is refused all the same."""
    shadow = meter("enforcement: shadow, replay: reject, amount: {json: /n}")
    found = {p.when: p.reason for p in of_metered(shadow, 2, "acme")}
    assert found["over quota"] is Reason.SHADOW
    assert found["no valid token"] is Reason.SHADOW
    assert found["no memory left for the body"] is Reason.OVERLOADED


def test_an_outage_makes_nothing_free() -> None:
    """An org that had nothing left before it is over quota in it."""
    found = {p.when: p.reason for p in of_metered(meter(""), 2, "acme")}
    assert found["the platform gives no valid answer"] is Reason.FAIL_OPEN
    assert (
        found["the platform gives no valid answer, and its last one leaves none"]
        is Reason.OVER_QUOTA
    )


def test_a_free_call_asks_no_quota() -> None:
    """An amount of 0 meets no quota and no failing platform."""
    reasons = [p.reason for p in of_metered(meter(""), Free(), "acme")]
    assert reasons == [
        Reason.WITHIN_QUOTA,
        Reason.UNAUTHENTICATED,
        Reason.IDENTITY_UNAVAILABLE,
        Reason.NOT_ENTITLED,
    ]


def test_a_price_that_cannot_be_read_is_refused_always() -> None:
    """Whoever calls."""
    [prospect] = of_metered(meter("amount: {json: /n}"), TooLong(9), "acme")
    assert (prospect.when, prospect.reason, prospect.status) == ("always", "bad_request", 413)


@pytest.mark.parametrize(
    ("action", "unmatched", "path", "reason", "status"),
    [
        ("allow", "deny", "/a", Reason.UNMETERED, 0),
        ("deny", "allow", "/a", Reason.BLOCKED, 403),
        ("allow", "deny", "/b", Reason.UNMATCHED, 403),
        ("deny", "allow", "/b", Reason.UNMETERED, 0),
    ],
)
def test_a_call_without_a_meter_comes_to_one_thing(
    action: str, unmatched: str, path: str, reason: Reason, status: int
) -> None:
    """By its route, or by what is for the rest."""
    policy = policy_of(f"{{name: a, match: {{path: /a}}, action: {action}}}", unmatched)
    route = policy.route_for("GET", path, [])
    assert not isinstance(route, UnsafePath)
    [prospect] = of_unmetered(unmetered_finding(route, matched=route is not policy.unmatched))
    assert (prospect.when, prospect.reason, prospect.status) == ("always", reason, status)


def test_an_unsafe_path_is_a_bad_request() -> None:
    """Before any route."""
    [prospect] = of_unmetered(UnsafePath("an encoded slash"))
    assert (prospect.reason, prospect.status) == (Reason.BAD_REQUEST, 400)
