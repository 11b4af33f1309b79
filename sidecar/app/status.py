"""What the admin port and the metrics read of a running sidecar, and its two commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from sidecar.admin.readiness import Circumstances
from sidecar.admin.state import ReloadReport
from sidecar.admission.books import Books, Figures
from sidecar.admission.moment import Moment
from sidecar.admission.outages import Spent
from sidecar.admission.settlements import Settlements
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.credentials import CookieSource
from sidecar.domain.model import Quota
from sidecar.domain.ports import Attempts, Clock
from sidecar.domain.share import ALONE, Share
from sidecar.identity.keyset import KeySet
from sidecar.platform.breaker import Breaker, BreakerState
from sidecar.policy.store import PolicyStore, ReloadOutcome
from sidecar.policy.view import as_dict
from sidecar.proxy.gateway import Gateway
from sidecar.proxy.server import Server
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.observer import Observer


class Status:
    """Satisfies `AdminState`, and gives the gauges their values at a scrape."""

    def __init__(
        self,
        *,
        policies: PolicyStore,
        keys: KeySet,
        breaker: Breaker,
        books: Books,
        settlements: Settlements,
        server: Server,
        gateway: Gateway,
        clock: Clock,
        observer: Observer,
        orgs: int,
        attempts: Attempts | None = None,
        share: Share = ALONE,
    ) -> None:
        """Read from these parts; `orgs` bounds what `/quota` lists."""
        self._policies = policies
        self._keys = keys
        self._breaker = breaker
        self._books = books
        self._holds = settlements.holds
        self._server = server
        self._gateway = gateway
        self._clock = clock
        self._observer = observer
        self._orgs = orgs
        self._attempts = attempts
        self._share = share

    def publish(self, metrics: Metrics) -> None:
        """Let the gauges be read from their owners."""
        read = metrics.read_at_scrape
        read("platform_breaker_state", lambda: float(self._breaker.state))
        read("journal_pending_units", lambda: self._figures().journal_pending_units)
        read("journal_oldest_seconds", lambda: self._figures().journal_oldest_seconds)
        read("journal_unwritable", lambda: float(bool(self._books.journal.problem)))
        read("journal_damaged_bytes", lambda: self._books.journal.damaged_bytes)
        read("credits_units", lambda: self._figures().credits_units)
        read("lease_units", self._lease_units)
        read("held_units", self._held_units)
        read("inflight_requests", lambda: self.requests)
        read("open_connections", lambda: self._server.open_connections)
        read("fail_open_budget_spent_ratio", self._budget_spent)
        read("jwks_age_seconds", self._keys_age)
        read("policy_last_reload_successful", self._policy_successful)
        read("policy_info", self._policy_info)
        if self._attempts is not None:
            read("attempts_shared", self._attempts_shared)

    def failure(self) -> str:
        """Report no failure: a process that can answer serves."""
        return ""

    def circumstances(self) -> Circumstances:
        """Return the state of each dependency, for readiness."""
        policy = self._policies.current
        keys = self._keys.state()
        meters = [route.meter for route in policy.routes if route.meter is not None]
        return Circumstances(
            draining=self._gateway.drain.draining,
            policy_problem=self._policies.last_error or "",
            platform_problem=self._platform_problem(),
            journal_problem=self._books.journal.problem,
            journal_damaged_bytes=self._books.journal.damaged_bytes,
            keys=keys.keys,
            keys_problem=keys.last_error or "",
            keys_needed=not any(
                isinstance(source, CookieSource) and source.secret is not None
                for source in policy.identity
            ),
            modes=frozenset[OnPlatformError](meter.on_platform_error for meter in meters),
            platform_probe_due=self._breaker.due(asyncio.get_running_loop().time()),
            platform_seen=self._observer.platform_seen,
            tokens_seen=self._observer.tokens_seen,
            upstream_seen=self._observer.upstream_seen,
            redis_problem=None if self._attempts is None else self._attempts.problem,
        )

    @property
    def requests(self) -> int:
        """How many requests are under way."""
        return self._gateway.drain.inflight

    @property
    def policy_hash(self) -> str:
        """Which policy is in force."""
        return self._policies.current.hash

    def policy_view(self) -> Mapping[str, object]:
        """Return the policy in force, for `/policy`."""
        return as_dict(self._policies.current)

    def known_quotas(self) -> Iterable[tuple[str, Quota]]:
        """Return the last answer of the platform for each org that is remembered."""
        for known in self._books.known_quotas(self._orgs):
            yield known.org_id, known.quota

    async def reload(self) -> ReloadReport:
        """Read the policy again; a bad file changes nothing."""
        outcome = await self._policies.reload()
        rejected = outcome is ReloadOutcome.REJECTED
        return ReloadReport(outcome.value, rejected, self._policies.problems)

    def drain(self) -> None:
        """Refuse new requests from now on; those under way finish."""
        self._server.begin_drain()

    def _platform_problem(self) -> str:
        return "" if self._breaker.state is BreakerState.CLOSED else "the breaker is not closed"

    def _figures(self) -> Figures:
        return self._books.figures(Moment.of(self._clock))

    def _held_units(self) -> Mapping[tuple[str, ...], float]:
        held: dict[tuple[str, ...], float] = {}
        for resource, units in self._holds.by_resource():
            held[resource,] = held.get((resource,), 0) + units
        return held

    def _lease_units(self) -> Mapping[tuple[str, ...], float]:
        figures = self._figures()
        return {("held",): figures.lease_units_held, ("requested",): figures.lease_units_requested}

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
