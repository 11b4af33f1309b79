"""The compiled policy, as the engine sees it: immutable, complete, nothing left to default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from sidecar.domain.choices import (
    Accuracy,
    Action,
    Enforcement,
    ErrorFormat,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
    Refund,
)
from sidecar.domain.cors import Cors
from sidecar.domain.credentials import IdentitySource
from sidecar.domain.model import Headers
from sidecar.domain.usage import UsageRule
from sidecar.policy.amounts import AmountRule
from sidecar.policy.effects import Effect, Rank
from sidecar.policy.paths import UnsafePath
from sidecar.policy.preflight import preflight_method
from sidecar.policy.routing import Match, Router

__all__ = ["FailOpenBudget", "Meter", "Policy", "Route", "UnsafePath"]

UNMATCHED: Final = "unmatched"
"""The name of the route that calls without one fall to; reserved."""


@dataclass(frozen=True, slots=True)
class FailOpenBudget:
    """What may be let through unconfirmed, per org and resource: `units` in `seconds`."""

    units: int
    seconds: float

    @property
    def units_text(self) -> str:
        """The units as a message shows them."""
        return "1 unit" if self.units == 1 else f"{self.units} units"


@dataclass(frozen=True, slots=True)
class Meter:
    """How a route is metered. `platform_timeout` in seconds, `body_limit` in bytes.

    With `usage`, the amount is a deposit on what the answer says that the call has cost.
    """

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
    usage: UsageRule | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """What is done with the calls of one entry: exactly one of `meter` and `action` is there."""

    name: str
    meter: Meter | None
    action: Action | None
    errors: ErrorFormat


class Policy:
    """What is in force: the routes in order, and the way to find a call's route.

    `router` finds the number of a call's route in `table`, the last of which is `unmatched`.
    `hash` is the SHA-256 of the file's bytes in hex; `errors` is the format of refusals that
    belong to no route. Immutable, apart from a bounded cache of settled paths.
    """

    __slots__ = (
        "cors", "errors", "hash", "identity", "notices", "product", "router",
        "routes", "table", "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        product: str,
        version: int,
        hash: str,  # noqa: A002  the word of the interface's policy_info metric
        identity: tuple[IdentitySource, ...],
        routes: tuple[Route, ...],
        matches: tuple[Match, ...],
        unmatched: Action,
        errors: ErrorFormat,
        case_sensitive: bool,
        notices: tuple[int, ...] = (),
        cors: Cors | None = None,
    ) -> None:
        """Compile; `matches[i]` says which calls fall to `routes[i]`.

        `notices`: at which percent of a quota a notice is sent, ascending; empty for never.
        `cors`: which pages may read refusals; None for no page of another origin.
        """
        self.notices: Final = notices
        self.cors: Final = cors
        self.product: Final = product
        self.version: Final = version
        self.hash: Final = hash
        self.identity: Final = identity
        self.routes: Final = routes
        self.errors: Final = errors
        self.table: Final = (*routes, Route(UNMATCHED, None, unmatched, errors))
        self.router: Final = Router(
            matches, [effect_of(route) for route in self.table], case_sensitive=case_sensitive
        )

    @property
    def unmatched(self) -> Route:
        """Where a call goes that matches no route: named "unmatched", never metered."""
        return self.table[-1]

    def route_for(
        self, method: str, path: str, headers: Headers, query: str = ""
    ) -> Route | UnsafePath:
        """Return the first route that matches, else `unmatched`.

        `path` is the raw path of the request target, `query` what follows its `?`; they are read
        as described in `paths`, `overrides` and `routing`. `UnsafePath` means 400, and only where
        some route meters or denies. A settled path costs one look in a dict.
        """
        found = self.router.find(method, path, headers, query)
        return found if isinstance(found, UnsafePath) else self.table[found]

    def preflight_route(
        self, method: str, path: str, headers: Headers, query: str = ""
    ) -> Route | None:
        """Return the route by which a browser's preflight passes: that of the method it asks for.

        None for any other call, and where `route_for` decides on the preflight.
        """
        asked = preflight_method(method, headers, query)
        found = None if asked is None else self.router.find_preflight(asked, path, headers)
        return None if found is None else self.table[found]


def effect_of(route: Route) -> Effect:
    """Return what a route does, from the view of a client who would like to evade it."""
    if route.meter is not None:
        return Effect(Rank.METERED, route.meter)
    match route.action:
        case Action.ALLOW:
            return Effect(Rank.FREE)
        case Action.DENY:
            return Effect(Rank.DENIED)
        case None:
            raise ValueError(f"route {route.name!r} has neither meter nor action")
        case _:
            assert_never(route.action)
