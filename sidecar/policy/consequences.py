"""What the policy alone says a call may come to: each reason it can have, and its status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sidecar.domain.model import (
    Action,
    Enforcement,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
    Reason,
)
from sidecar.policy.compiled import Meter, Route


@dataclass(frozen=True, slots=True)
class Consequence:
    """What the call may come to; `status` 0 is the product's own answer."""

    when: str
    reason: Reason
    status: int


def of_unmetered(route: Route | None, *, unmatched: bool) -> Consequence:
    """Return what a call comes to that no meter sees; `route` None: its path was refused."""
    if route is None:
        return Consequence("always", Reason.BAD_REQUEST, 400)
    if route.action is Action.ALLOW:
        return Consequence("always", Reason.UNMETERED, 0)
    return Consequence("always", Reason.UNMATCHED if unmatched else Reason.BLOCKED, 403)


def of_meter(meter: Meter, *, free: bool) -> tuple[Consequence, ...]:
    """Return what a priced call of this meter may come to, most usual first.

    `free`: the call costs nothing, so that nobody is asked about it.
    """
    found = [Consequence("the call is free" if free else "there is quota", Reason.WITHIN_QUOTA, 0)]
    if not free:
        found.append(_over_quota("over quota", meter))
        found += _on_platform_error(meter)
    found.append(Consequence("no valid token", Reason.UNAUTHENTICATED, 401))
    found.append(Consequence("the org does not have the product", Reason.NOT_ENTITLED, 403))
    if meter.replay is OnReplay.REJECT:
        found.append(Consequence("a request ID seen again", Reason.REPLAYED, 409))
    if meter.enforcement is Enforcement.SHADOW:
        found.append(Consequence("shadow: instead of a refusal", Reason.SHADOW, 0))
    return tuple(found)


def _over_quota(when: str, meter: Meter) -> Consequence:
    match meter.on_over_quota:
        case OnOverQuota.DENY:
            return Consequence(when, Reason.OVER_QUOTA, meter.deny_status)
        case OnOverQuota.ALLOW:
            return Consequence(when, Reason.OVER_QUOTA_ALLOWED, 0)
        case _:
            assert_never(meter.on_over_quota)


def _on_platform_error(meter: Meter) -> list[Consequence]:
    failing = "the platform gives no answer to trust"
    match meter.on_platform_error:
        case OnPlatformError.FAIL_OPEN:
            budget = meter.fail_open_budget
            spent = f"and {budget.units} units or {budget.seconds:g} s are spent on that"
            return [
                Consequence(failing, Reason.FAIL_OPEN, 0),
                Consequence(f"{failing}, {spent}", Reason.FAIL_OPEN_SPENT, 503),
            ]
        case OnPlatformError.FAIL_CLOSED:
            return [Consequence(failing, Reason.FAIL_CLOSED, 503)]
        case OnPlatformError.LAST_KNOWN:
            return [
                Consequence(f"{failing}, and its last one leaves quota", Reason.LAST_KNOWN, 0),
                _over_quota(f"{failing}, and its last one leaves none", meter),
                Consequence(f"{failing}, nor gave one before", Reason.FAIL_CLOSED, 503),
            ]
        case _:
            assert_never(meter.on_platform_error)
