"""What `bb-sidecar check` says of a policy that can be used: warnings, and what to know of it.

A warning is that it may charge or admit what its author did not mean. None stops a sidecar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPMethod
from typing import Final

from sidecar.domain.choices import OnPlatformError, Refund
from sidecar.domain.model import Headers, Resource
from sidecar.policy.amounts import MAX_UNITS, AmountRule, ConstantAmount, JsonAmount
from sidecar.policy.compiled import Policy
from sidecar.policy.effects import Rank
from sidecar.policy.source import Document

_WEBSOCKET: Final = (b"upgrade", b"websocket")
_OWN_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_METHODS: Final = tuple(method.value for method in HTTPMethod)
_OF_CALLS: Final = frozenset({Resource.AI_CALLS, Resource.API_CALLS})


@dataclass(frozen=True, slots=True)
class Deployment:
    """How the policy will run, as far as the environment of `check` says.

    `trusted_proxies`: request IDs of some peers are believed. `shared_attempts`: their attempt
    numbers are counted in Redis.
    """

    trusted_proxies: bool = False
    shared_attempts: bool = False


def warn_of_risks(document: Document, policy: Policy, deployment: Deployment | None) -> None:
    """Add a warning to `document` for each risk of `policy`, which was compiled from it.

    Where it is known how the policy will run, also note what that means.
    """
    _warn_of_methods(document, policy)
    _warn_of_upgrades(document, policy)
    _warn_of_form_methods(document, policy)
    _warn_of_origins(document, policy)
    _warn_of_amounts(document, policy)
    if deployment is None:
        return
    if deployment.trusted_proxies and not deployment.shared_attempts:
        _warn_of_refunds(document, policy)
    _note_budgets(document, policy)


def _warn_of_refunds(document: Document, policy: Policy) -> None:
    """Another replica may have charged the same key: nothing is given back under it."""
    for number, route in enumerate(policy.routes):
        if route.meter is not None and route.meter.refund is not Refund.NEVER:
            document.warn(
                ("routes", number, "name"),
                f"`refund: {route.meter.refund}` of `{route.name}` gives nothing back for the "
                "request IDs of trusted proxies without Redis: another replica may have charged "
                "the same key; set REDIS_URL (--redis)",
            )


def _warn_of_methods(document: Document, policy: Policy) -> None:
    """A method with a typo matches nothing: its calls go to a later route, often a free one."""
    for number, match in enumerate(policy.router.matches):
        for method in sorted(match.methods or ()):
            if method not in _METHODS and (near := get_close_matches(method, _METHODS, 1, 0.75)):
                document.warn(
                    ("routes", number, "match"),
                    f"no client sends the method `{method}`; did you mean `{near[0]}`?",
                )


def _warn_of_upgrades(document: Document, policy: Policy) -> None:
    """A WebSocket is a GET: a route that names POST alone does not take it."""
    risky = [
        number
        for number, route in enumerate(policy.routes)
        if route.meter is not None
        and route.meter.resource in _OF_CALLS
        and _is_free(policy, number, "GET", [_WEBSOCKET])
    ]
    if risky:
        document.warn(
            ("routes", risky[0], "match"),
            f"a WebSocket on the paths of {_named(policy, risky)} is not metered: meter or deny it "
            "in a route before with `headers: {upgrade: websocket}`",
        )


def _warn_of_form_methods(document: Document, policy: Policy) -> None:
    """A form's `_method` makes many frameworks run another handler than that of POST."""
    risky = [
        number
        for number, match in enumerate(policy.router.matches)
        if policy.router.effects[number].rank is not Rank.FREE
        and match.methods is not None
        and _is_free(policy, number, "POST", [])
    ]
    if risky:
        document.warn(
            ("routes", risky[0], "match"),
            f"a POST on the paths of {_named(policy, risky)} is free: a product that takes "
            "`_method` from a form would run a handler of these for it; add POST to `methods`",
        )


def _warn_of_origins(document: Document, policy: Policy) -> None:
    """Pages that others own, or that a host on the way can change, could read refusals."""
    cors = policy.cors
    for number, pattern in enumerate(() if cors is None else cors.origins):
        origin = pattern.origin
        if cors is None or origin is None:
            continue
        if pattern.below and "." not in origin.host:
            document.warn(
                ("cors", "origins", number),
                f"`{pattern.text}` are all hosts under .{origin.host}, also those of other "
                f"owners; name your own domain, as in {origin.scheme}://*.example.{origin.host}",
            )
        elif cors.credentials and origin.scheme == "http" and origin.host not in _OWN_MACHINE:
            document.warn(
                ("cors", "origins", number),
                f"a page of `{pattern.text}` comes in clear text: any host on its way can change "
                "it and act with its visitor's cookies; take https://",
            )


def _warn_of_amounts(document: Document, policy: Policy) -> None:
    """One call may name the whole quota of its org."""
    for number, route in enumerate(policy.routes):
        if route.meter is not None and not _is_bounded(route.meter.amount):
            own = ("routes", number, "meter", "amount")
            document.warn(
                own if document.resolve(own) == own else ("defaults", "amount"),
                f"a client can name any amount up to {MAX_UNITS}, and so use up its org's quota in "
                "one call: set `max`",
            )


def _is_bounded(amount: AmountRule) -> bool:
    """Whether the policy, or the size of a body, limits what a call can cost."""
    if isinstance(amount, ConstantAmount) or amount.scale.maximum < MAX_UNITS:
        return True
    counts = isinstance(amount, JsonAmount) and amount.count
    if not counts and amount.scale.weights is None:
        return False
    times = amount.times if isinstance(amount, JsonAmount) else None
    return times is None or _is_bounded(times)


def _is_free(policy: Policy, number: int, method: str, headers: Headers) -> bool:
    """Whether such a call on the paths of a route is let through unmetered."""
    router = policy.router
    match = router.matches[number]
    path = match.pattern.symbol(case_sensitive=router.case_sensitive)
    fields = [*match.headers, *headers]
    chosen = router.choose(method, path, fields, exact=router.case_sensitive)
    return router.effects[chosen].rank is Rank.FREE


def _named(policy: Policy, numbers: Sequence[int]) -> str:
    """Name the first routes, and say how many more there are."""
    shown = 3
    names = ", ".join(f"`{policy.routes[number].name}`" for number in numbers[:shown])
    more = len(numbers) - shown
    return f"{names} and {more} more" if more > 0 else names


def _note_budgets(document: Document, policy: Policy) -> None:
    """Each replica has a budget of its own: ten replicas let through ten times as much."""
    noted = set()
    for number, route in enumerate(policy.routes):
        meter = route.meter
        if meter is None or meter.on_platform_error is not OnPlatformError.FAIL_OPEN:
            continue
        budget = (meter.resource, meter.fail_open_budget)
        if budget not in noted:
            noted.add(budget)
            document.note(
                ("routes", number, "name"),
                "while the platform does not answer, each replica admits up to "
                f"{meter.fail_open_budget.units_text} of {meter.resource} per org in "
                f"{meter.fail_open_budget.seconds:g} s (`fail_open_budget`), its workers together",
            )
