"""What a call may come to."""

from __future__ import annotations

import pytest

from sidecar.domain.model import Action, ErrorFormat, Reason
from sidecar.policy.compiled import Meter, Route
from sidecar.policy.consequences import of_meter, of_unmetered
from sidecar.policy.load import load_policy


def meter(settings: str) -> Meter:
    """Return the meter of a policy with some settings."""
    text = f"""
version: 1
product: acme
routes:
  - {{name: all, match: {{path: /**}}, meter: {{{settings}}}}}
"""
    found = load_policy(text.encode(), file="p", environ={}).routes[0].meter
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ("", {"over_quota": 429, "fail_open": 0, "fail_open_spent": 503}),
        ("deny_status: 402", {"over_quota": 402, "fail_open": 0, "fail_open_spent": 503}),
        (
            "on_over_quota: allow, on_platform_error: fail_closed",
            {"over_quota_allowed": 0, "fail_closed": 503},
        ),
        (
            "on_platform_error: last_known",
            {"over_quota": 429, "last_known": 0, "fail_closed": 503},
        ),
        (
            "replay: reject, enforcement: shadow, on_platform_error: fail_closed",
            {"over_quota": 429, "fail_closed": 503, "replayed": 409, "shadow": 0},
        ),
    ],
)
def test_metered(settings: str, reasons: dict[str, int]) -> None:
    """Each setting adds its reasons, with their statuses."""
    always = {"within_quota": 0, "unauthenticated": 401, "not_entitled": 403}
    found = {c.reason.value: c.status for c in of_meter(meter(settings), free=False)}
    assert found == {**always, **reasons}


def test_free_upload_asks_nobody() -> None:
    """An amount of 0 meets no quota and no failing platform."""
    reasons = [c.reason for c in of_meter(meter(""), free=True)]
    assert reasons == [Reason.WITHIN_QUOTA, Reason.UNAUTHENTICATED, Reason.NOT_ENTITLED]


def route(action: Action) -> Route:
    """Return a route without a meter."""
    return Route("x", None, action, ErrorFormat.PROBLEM)


@pytest.mark.parametrize(
    ("route", "unmatched", "reason", "status"),
    [
        (None, False, Reason.BAD_REQUEST, 400),
        (route(Action.ALLOW), False, Reason.UNMETERED, 0),
        (route(Action.DENY), False, Reason.BLOCKED, 403),
        (route(Action.DENY), True, Reason.UNMATCHED, 403),
    ],
)
def test_unmetered(
    route: Route | None,
    unmatched: bool,  # noqa: FBT001
    reason: Reason,
    status: int,
) -> None:
    """One thing, always."""
    found = of_unmetered(route, unmatched=unmatched)
    assert (found.reason, found.status) == (reason, status)
