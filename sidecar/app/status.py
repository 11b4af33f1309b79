"""What the admin port and the metrics read of a running sidecar, and its two commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from sidecar.admin.readiness import Circumstances
from sidecar.admin.state import ReloadReport
from sidecar.admission.books import Books
from sidecar.admission.settlements import Settlements
from sidecar.app.gauges import EngineGauges
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.credentials import CookieSource
from sidecar.domain.model import Quota
from sidecar.domain.ports import Attempts, Clock, SharedHolds
from sidecar.domain.share import ALONE, Share
from sidecar.identity.keyset import KeySet
from sidecar.platform.breaker import Breaker, BreakerState
from sidecar.policy.store import PolicyStore, ReloadOutcome
from sidecar.policy.view import as_dict
from sidecar.proxy.server import Plane, Server
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
        gateway: Plane,
        clock: Clock,
        observer: Observer,
        orgs: int,
        attempts: Attempts | None = None,
        shared_holds: SharedHolds | None = None,
        share: Share = ALONE,
    ) -> None:
        """Read from these parts; `orgs` bounds what `/quota` lists."""
        self._policies = policies
        self._keys = keys
        self._breaker = breaker
        self._books = books
        self._server = server
        self._gateway = gateway
        self._observer = observer
        self._orgs = orgs
        self._attempts = attempts
        self._shared_holds = shared_holds
        self._gauges = EngineGauges(
            policies=policies, keys=keys, breaker=breaker, books=books, settlements=settlements,
            attempts=attempts, clock=clock, share=share,
        )  # fmt: skip

    def publish(self, metrics: Metrics) -> None:
        """Let the gauges be read from their owners."""
        self._gauges.publish(metrics)
        read = metrics.read_at_scrape
        read("inflight_requests", lambda: self.requests)
        read("open_connections", lambda: self._server.open_connections)

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
            redis_problem=self._redis_problem(),
        )

    def _redis_problem(self) -> str | None:
        """Say what replicas do not share now; None where they share nothing."""
        if self._attempts is None:
            return None
        holds = "" if self._shared_holds is None else self._shared_holds.problem
        return self._attempts.problem or holds

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
