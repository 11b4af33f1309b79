"""The gauges of an engine, at whatever door: each is read from its owner at a scrape."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.admission.moment import Moment
from sidecar.admission.outages import Spent
from sidecar.app.context import Context
from sidecar.app.engine import EngineParts
from sidecar.domain.choices import OnPlatformError
from sidecar.policy.store import PolicyStore


def publish_gauges(context: Context, policies: PolicyStore, parts: EngineParts) -> None:
    """Let the observer read the figures of an engine's parts from their owners."""
    books, attempts, clock = parts.books, parts.attempts, context.clock

    def lease_units() -> Mapping[tuple[str, ...], float]:
        return {("held",): books.leases.held, ("requested",): books.leases.requested}

    def held_units() -> Mapping[tuple[str, ...], float]:
        held: dict[tuple[str, ...], float] = {}
        for resource, units in parts.settlements.holds.by_resource():
            held[resource,] = held.get((resource,), 0) + units
        return held

    def budget_spent() -> float:
        """Return the largest share that an org has spent of the first budget to run out on it."""
        budgets = {
            (route.meter.resource, route.meter.fail_open_budget)
            for route in policies.current.routes
            if route.meter is not None
            and route.meter.on_platform_error is OnPlatformError.FAIL_OPEN
        }
        return max(
            (
                _spent_part(spent, context.share.part(budget.units), budget.seconds)
                for resource, spent in books.outages.ongoing(clock.monotonic())
                for budgeted, budget in budgets
                if budgeted == resource
            ),
            default=0.0,
        )

    def keys_age() -> float | Mapping[tuple[str, ...], float]:
        age = parts.keys.state().age
        return {} if age is None else age

    def policy_info() -> Mapping[tuple[str, ...], float]:
        return {(str(policies.current.version), policies.current.hash): 1}

    context.observer.read_quotas_at_scrape(
        lambda orgs: [(known.org_id, known.quota) for known in books.ledger.known(orgs)]
    )
    read = context.observer.read_at_scrape
    read("platform_breaker_state", lambda: float(parts.breaker.state))
    read("journal_pending_units", lambda: books.journal.units)
    read("journal_oldest_seconds", lambda: books.journal.oldest_seconds(Moment.of(clock)))
    read("journal_unwritable", lambda: float(bool(books.journal.problem)))
    read("journal_damaged_bytes", lambda: books.journal.damaged_bytes)
    read("credits_units", lambda: books.credits.units(clock.time()))
    read("lease_units", lease_units)
    read("held_units", held_units)
    read("fail_open_budget_spent_ratio", budget_spent)
    read("jwks_age_seconds", keys_age)
    read("policy_last_reload_successful", lambda: float(policies.last_error is None))
    read("policy_info", policy_info)
    if attempts is not None:
        read("attempts_shared", lambda: float(not attempts.problem))


def _spent_part(spent: Spent, units: int, seconds: float) -> float:
    """Return how much of a budget is gone, 0 to 1: its units or its seconds, whichever is more."""
    if units == 0:
        return 1.0
    return min(1.0, max(spent.units / units, spent.seconds / seconds))
