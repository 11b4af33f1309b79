"""The compiled policy, as the engine sees it: immutable, complete, nothing left to default."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.model import (
    Accuracy,
    Action,
    Enforcement,
    ErrorFormat,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
    Refund,
)
from sidecar.policy.amounts import AmountRule


@dataclass(frozen=True, slots=True)
class FailOpenBudget:
    """What may be let through unconfirmed, per org and resource: `units` in `seconds`."""

    units: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Meter:
    """How a route is metered. `platform_timeout` in seconds, `body_limit` in bytes."""

    resource: str
    amount: AmountRule
    accuracy: Accuracy
    on_over_quota: OnOverQuota
    on_platform_error: OnPlatformError
    fail_open_budget: FailOpenBudget
    platform_timeout: float
    refund: Refund
    replay: OnReplay
    enforcement: Enforcement
    deny_status: int
    body_limit: int


@dataclass(frozen=True, slots=True)
class Route:
    """What is done with the calls of one entry: exactly one of `meter` and `action` is there."""

    name: str
    meter: Meter | None
    action: Action | None
    errors: ErrorFormat


@dataclass(frozen=True, slots=True)
class UnsafePath:
    """The call must get 400 `bad_request`: the product could read it in more than one way."""

    detail: str
