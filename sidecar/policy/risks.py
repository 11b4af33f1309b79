"""What `bb-sidecar check` says of a policy that can be used: warnings, and what to know of it.

A warning is that it may charge or admit what its author did not mean. None stops a sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.model import OnPlatformError, Refund
from sidecar.policy.compiled import Policy
from sidecar.policy.source import Document


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
                "while the platform does not answer, each replica lets through up to "
                f"{meter.fail_open_budget.units} units of {meter.resource} per org in "
                f"{meter.fail_open_budget.seconds:g} s (`fail_open_budget`), its workers together",
            )
