"""What the admin port and the metrics read of a running sidecar, and its two commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from sidecar.admin.readiness import Circumstances
from sidecar.admin.state import ReloadReport
from sidecar.app.context import Context
from sidecar.app.engine import EngineParts
from sidecar.app.gauges import publish_gauges
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.credentials import CookieSource
from sidecar.domain.quota import Quota
from sidecar.platform.breaker import BreakerState
from sidecar.policy.store import PolicyStore
from sidecar.policy.view import as_dict
from sidecar.proxy.server import Plane, Server


class Status:
    """The running sidecar as the admin port sees it: satisfies `AdminState`."""

    def __init__(
        self,
        context: Context,
        policies: PolicyStore,
        parts: EngineParts,
        server: Server,
        plane: Plane,
        *,
        orgs: int,
    ) -> None:
        """Read from these parts, also the gauges of a scrape; `orgs` bounds what `/quota` lists."""
        self._policies = policies
        self._parts = parts
        self._server = server
        self._plane = plane
        self._observer = context.observer
        self._orgs = orgs
        publish_gauges(context, policies, parts)
        read = context.observer.read_at_scrape
        read("inflight_requests", lambda: self.requests)
        read("open_connections", lambda: server.open_connections)

    def failure(self) -> str:
        """Report no failure: a process that can answer serves."""
        return ""

    def circumstances(self) -> Circumstances:
        """Return the state of each dependency, for readiness."""
        policy = self._policies.current
        keys = self._parts.keys.state()
        closed = self._parts.breaker.state is BreakerState.CLOSED
        meters = [route.meter for route in policy.routes if route.meter is not None]
        return Circumstances(
            draining=self._plane.drain.draining,
            policy_problem=self._policies.last_error or "",
            platform_problem="" if closed else "the breaker is not closed",
            journal_problem=self._parts.books.journal.problem,
            journal_damaged_bytes=self._parts.books.journal.damaged_bytes,
            keys=keys.keys,
            keys_problem=keys.last_error or "",
            keys_needed=not any(
                isinstance(source, CookieSource) and source.secret is not None
                for source in policy.identity
            ),
            modes=frozenset[OnPlatformError](meter.on_platform_error for meter in meters),
            platform_probe_due=self._parts.breaker.due(asyncio.get_running_loop().time()),
            platform_seen=self._observer.platform_seen,
            tokens_seen=self._observer.tokens_seen,
            upstream_seen=self._observer.upstream_seen,
            redis_problem=self._redis_problem(),
        )

    def _redis_problem(self) -> str | None:
        """Say what replicas do not share now; None where they share nothing."""
        attempts, shared = self._parts.attempts, self._parts.shared_holds
        if attempts is None:
            return None
        return attempts.problem or ("" if shared is None else shared.problem)

    @property
    def requests(self) -> int:
        """How many requests are under way."""
        return self._plane.drain.inflight

    @property
    def policy_hash(self) -> str:
        """Which policy is in force."""
        return self._policies.current.hash

    def policy_view(self) -> Mapping[str, object]:
        """Return the policy in force, for `/policy`."""
        return as_dict(self._policies.current)

    def known_quotas(self) -> Iterable[tuple[str, Quota]]:
        """Return the last answer of the platform for each org that is remembered."""
        for known in self._parts.books.ledger.known(self._orgs):
            yield known.org_id, known.quota

    async def reload(self) -> ReloadReport:
        """Read the policy again; a bad file changes nothing."""
        outcome = await self._policies.reload()
        return ReloadReport(outcome.value, self._policies.problems)

    def drain(self) -> None:
        """Refuse new requests from now on; those under way finish."""
        self._server.begin_drain()
