"""The gauges of an engine, at whatever door: each is read from its owner at a scrape."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.admission.books import Books, Figures
from sidecar.admission.moment import Moment
from sidecar.admission.outages import Spent
from sidecar.admission.settlements import Settlements
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.model import Quota
from sidecar.domain.ports import Attempts, Clock
from sidecar.domain.share import Share
from sidecar.identity.keyset import KeySet
from sidecar.platform.breaker import Breaker
from sidecar.policy.store import PolicyStore
from sidecar.telemetry.metrics import Metrics


class EngineGauges:
    """Works out the figures of one engine's parts."""

    def __init__(
        self,
        *,
        policies: PolicyStore,
        keys: KeySet,
        breaker: Breaker,
        books: Books,
        settlements: Settlements,
        attempts: Attempts | None,
        clock: Clock,
        share: Share,
    ) -> None:
        """Read from these parts."""
        self._policies = policies
        self._keys = keys
        self._breaker = breaker
        self._books = books
        self._holds = settlements.holds
        self._attempts = attempts
        self._clock = clock
        self._share = share

    def publish(self, metrics: Metrics) -> None:
        """Let the gauges be read from their owners."""
        metrics.read_quotas_at_scrape(self._known_quotas)
        read = metrics.read_at_scrape
        read("platform_breaker_state", lambda: float(self._breaker.state))
        read("journal_pending_units", lambda: self._figures().journal_pending_units)
        read("journal_oldest_seconds", lambda: self._figures().journal_oldest_seconds)
        read("journal_unwritable", lambda: float(bool(self._books.journal.problem)))
        read("journal_damaged_bytes", lambda: self._books.journal.damaged_bytes)
        read("credits_units", lambda: self._figures().credits_units)
        read("lease_units", self._lease_units)
        read("held_units", self._held_units)
        read("fail_open_budget_spent_ratio", self._budget_spent)
        read("jwks_age_seconds", self._keys_age)
        read("policy_last_reload_successful", self._policy_successful)
        read("policy_info", self._policy_info)
        if self._attempts is not None:
            read("attempts_shared", self._attempts_shared)

    def _known_quotas(self, orgs: int) -> list[tuple[str, Quota]]:
        return [(known.org_id, known.quota) for known in self._books.known_quotas(orgs)]

    def _figures(self) -> Figures:
        return self._books.figures(Moment.of(self._clock))

    def _lease_units(self) -> Mapping[tuple[str, ...], float]:
        figures = self._figures()
        return {("held",): figures.lease_units_held, ("requested",): figures.lease_units_requested}

    def _held_units(self) -> Mapping[tuple[str, ...], float]:
        held: dict[tuple[str, ...], float] = {}
        for resource, units in self._holds.by_resource():
            held[resource,] = held.get((resource,), 0) + units
        return held

    def _budget_spent(self) -> float:
        """Return the largest share that an org has spent of the first budget to run out on it."""
        policy, now = self._policies.current, self._clock.monotonic()
        budgets = {
            (route.meter.resource, route.meter.fail_open_budget)
            for route in policy.routes
            if route.meter is not None
            and route.meter.on_platform_error is OnPlatformError.FAIL_OPEN
        }
        return max(
            (
                _spent_part(spent, self._share.part(budget.units), budget.seconds)
                for resource, spent in self._books.outages.ongoing(now)
                for budgeted, budget in budgets
                if budgeted == resource
            ),
            default=0.0,
        )

    def _keys_age(self) -> float | Mapping[tuple[str, ...], float]:
        age = self._keys.state().age
        return {} if age is None else age

    def _attempts_shared(self) -> float:
        return float(self._attempts is not None and not self._attempts.problem)

    def _policy_successful(self) -> float:
        return float(self._policies.last_error is None)

    def _policy_info(self) -> Mapping[tuple[str, ...], float]:
        policy = self._policies.current
        return {(str(policy.version), policy.hash): 1}


def _spent_part(spent: Spent, units: int, seconds: float) -> float:
    """Return how much of a budget is gone, 0 to 1: its units or its seconds, whichever is more."""
    if units == 0:
        return 1.0
    return min(1.0, max(spent.units / units, spent.seconds / seconds))
