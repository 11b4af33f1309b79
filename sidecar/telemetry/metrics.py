"""The metrics as verbs that the parts call, and as one snapshot that a scrape takes.

Verbs cost well under a microsecond: they add to plain integers. Everything else waits for the
scrape. Satisfies the observers of sidecar.ports. Single-threaded, as the event loop is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sidecar.model import (
    Charge,
    Decision,
    FailureKind,
    IdentityFailure,
    Loss,
    OnReplay,
    Quota,
    Reason,
)
from sidecar.telemetry import catalogue as c
from sidecar.telemetry.recent_orgs import RecentOrgs
from sidecar.telemetry.series import OTHER, Counts, Histogram, Labels, RouteSeries
from sidecar.telemetry.snapshot import Buckets, Snapshot

Reading = float | Mapping[Labels, float]
"""A gauge's value, or one for each of its label values."""

_ROUTES_CAP: Final = 2000  # four times the routes of a large policy; reloads may rename them
_SERIES_CAP: Final = 400  # of one metric, or of one route in one metric
_CODES: Final = {
    0: "none",
    **{
        code: str(code)
        for code in (
            101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404,
            405, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 425, 426, 428,
            429, 431, 451, 499, 500, 501, 502, 503, 504, 529,
        )
    },
}  # fmt: skip
_CLASSES: Final = {1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}
_CONSUMED: Final = (("granted",), ("refused",), *((kind.value,) for kind in FailureKind))
_GAUGES: Final = {metric.name: metric for metric in c.METRICS if metric.kind.gauge}


class Metrics:
    """All counts of one process. Routes come from the policy; no label comes from a client."""

    def __init__(self, *, version: str, orgs: int = 100) -> None:
        """Start at nought; `orgs` is how many orgs have quota gauges at a time."""
        self._version = version
        self._routes: dict[str, RouteSeries] = {}
        self._other_route = _new_route()
        self._orgs = RecentOrgs(orgs)
        self._gauges: dict[str, Callable[[], Reading]] = {}
        self.keys = 0
        self._consume_seconds = Histogram(c.CONSUME_DURATION.buckets)
        self._loop_lag = Histogram(c.LOOP_LAG.buckets)
        self._consumed = Counts(1, _SERIES_CAP, _CONSUMED)
        self._degraded = Counts(1, _SERIES_CAP, tuple((kind.value,) for kind in FailureKind))
        self._failures = Counts(1, _SERIES_CAP, tuple((kind.value,) for kind in IdentityFailure))
        self._replays = Counts(1, _SERIES_CAP, tuple((kind.value,) for kind in OnReplay))
        self._journal_replayed = Counts(1, _SERIES_CAP)
        self._journal_dropped = Counts(0, 1, ((),))
        self._credits_lost = Counts(1, _SERIES_CAP, tuple((cause.value,) for cause in Loss))
        self._leases = Counts(1, _SERIES_CAP)
        self._refreshes = Counts(1, _SERIES_CAP)
        self._upstream_errors = Counts(1, _SERIES_CAP)
        self._closed = Counts(1, _SERIES_CAP)
        self._events = Counts(1, _SERIES_CAP, (("applied",), ("unsigned",)))
        self._notices = Counts(1, _SERIES_CAP, (("published",), ("refused",)))
        self._reloads = Counts(1, _SERIES_CAP, (("loaded",), ("unchanged",), ("rejected",)))

    # RequestObserver

    def request_finished(self, decision: Decision, code: int, seconds: float) -> None:
        """Count one answer, `seconds` after its head was read; `code` 0 if none was sent."""
        series = self._routes.get(decision.route) or self._first(decision.route)
        told = _CODES.get(code) or _CLASSES.get(code // 100, OTHER)
        series.answers.add((decision.reason, told))
        series.duration.observe(seconds)

    def forwarded(self, route: str, seconds: float) -> None:
        """Count the time that was added before the upstream was called."""
        (self._routes.get(route) or self._first(route)).overhead.observe(seconds)

    def connection_closed(self, cause: str) -> None:
        """Count a client connection that a deadline or a bound ended."""
        self._closed.add((cause,))

    def upstream_failed(self, kind: str) -> None:
        """Count a failure of the product."""
        self._upstream_errors.add((kind,))

    # AdmissionObserver

    def identity_failed(self, kind: IdentityFailure) -> None:
        """Count a metered call without an identity to trust."""
        self._failures.add((kind,))

    def units_admitted(self, resource: str, route: str, reason: Reason, amount: int) -> None:
        """Count units that were let through to the product."""
        series = self._routes.get(route) or self._first(route)
        series.units.add((resource, reason), amount)

    def platform_degraded(self, kind: FailureKind) -> None:
        """Count a call that was decided without an answer to trust."""
        self._degraded.add((kind,))

    def admitted_unconfirmed(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        """Count nothing: `units_total` and `platform_degraded_total` have it, the log when."""

    def replay_seen(self, action: OnReplay) -> None:
        """Count a request ID that was seen again."""
        self._replays.add((action,))

    def quota_seen(self, org_id: str, quota: Quota) -> None:
        """Keep what the platform told, if the org is among the most recent at the scrape."""
        self._orgs.seen(org_id, quota)

    def journal_replayed(self, outcome: str, units: int) -> None:
        """Count units that were told to the platform later."""
        self._journal_replayed.add((outcome,), units)

    def journal_dropped(self, units: int) -> None:
        """Count units that were given up."""
        self._journal_dropped.add((), units)

    def credits_lost(self, units: int, cause: Loss) -> None:
        """Count paid units that were given up unused."""
        self._credits_lost.add((cause,), units)

    def lease_requested(self, outcome: str) -> None:
        """Count a lease that was asked for."""
        self._leases.add((outcome,))

    # PlatformObserver, IdentityObserver, PolicyObserver, EventObserver, NoticeObserver

    def consume_finished(self, outcome: str, seconds: float) -> None:
        """Count one request to the platform."""
        self._consumed.add((outcome,))
        self._consume_seconds.observe(seconds)

    def keys_refreshed(self, outcome: str, keys: int) -> None:
        """Count a fetch of the key set, and keep how many keys are trusted now."""
        self._refreshes.add((outcome,))
        self.keys = keys

    def policy_reloaded(self, outcome: str) -> None:
        """Count a reload of the policy."""
        self._reloads.add((outcome,))

    def event_received(self, outcome: str) -> None:
        """Count a delivery of the platform's events."""
        self._events.add((outcome,))

    def notice_ended(self, outcome: str) -> None:
        """Count a quota notice."""
        self._notices.add((outcome,))

    def loop_lagged(self, seconds: float) -> None:
        """Note how late the event loop came to a timer."""
        self._loop_lag.observe(seconds)

    # The scrape

    def read_at_scrape(self, name: str, provider: Callable[[], Reading]) -> None:
        """Let a gauge be read from its owner, so that nobody has to tell every change.

        `name` is that of the catalogue, without prefix. A provider returns a number, or a number
        for each tuple of label values. Raises ValueError for what is no gauge.
        """
        if name not in _GAUGES:
            raise ValueError(f"{name!r} is no gauge: one of {', '.join(sorted(_GAUGES))}")
        self._gauges[name] = provider

    def snapshot(self) -> Snapshot:
        """Take the state of all metrics as plain data, to expose or to merge with others."""
        values: dict[str, dict[Labels, float]] = {
            c.CONSUME_REQUESTS.name: self._consumed.values(),
            c.DEGRADED.name: self._degraded.values(),
            c.IDENTITY_FAILURES.name: self._failures.values(),
            c.REPLAYS.name: self._replays.values(),
            c.JOURNAL_REPLAYED.name: self._journal_replayed.values(),
            c.JOURNAL_DROPPED.name: self._journal_dropped.values(),
            c.CREDITS_LOST.name: self._credits_lost.values(),
            c.LEASE_REQUESTS.name: self._leases.values(),
            c.JWKS_REFRESH.name: self._refreshes.values(),
            c.JWKS_KEYS.name: {(): self.keys},
            c.UPSTREAM_ERRORS.name: self._upstream_errors.values(),
            c.CONNECTIONS_CLOSED.name: self._closed.values(),
            c.WEBHOOK_EVENTS.name: self._events.values(),
            c.NOTICES.name: self._notices.values(),
            c.POLICY_RELOAD.name: self._reloads.values(),
            c.BUILD_INFO.name: {(self._version,): 1},
        }
        histograms: dict[str, dict[Labels, Buckets]] = {
            c.CONSUME_DURATION.name: {(): _buckets(self._consume_seconds)},
            c.LOOP_LAG.name: {(): _buckets(self._loop_lag)},
        }
        self._add_routes(values, histograms)
        self._add_orgs(values)
        for name, provider in self._gauges.items():
            reading = provider()
            values[name] = {(): reading} if isinstance(reading, int | float) else dict(reading)
        return Snapshot(values, histograms)

    def _add_routes(
        self,
        values: dict[str, dict[Labels, float]],
        histograms: dict[str, dict[Labels, Buckets]],
    ) -> None:
        requests: dict[Labels, float] = {}
        units: dict[Labels, float] = {}
        durations: dict[Labels, Buckets] = {}
        overheads: dict[Labels, Buckets] = {}
        for route, series in (*self._routes.items(), (OTHER, self._other_route)):
            for (reason, code), count in series.answers.values().items():
                verdict = OTHER if reason == OTHER else Reason(reason).verdict
                requests[route, verdict, reason, code] = count
            for (resource, reason), count in series.units.values().items():
                units[resource, route, reason] = count
            if any(series.duration.counts):
                durations[(route,)] = _buckets(series.duration)
            if any(series.overhead.counts):
                overheads[(route,)] = _buckets(series.overhead)
        values[c.REQUESTS.name] = requests
        values[c.UNITS.name] = units
        histograms[c.REQUEST_DURATION.name] = durations
        histograms[c.OVERHEAD.name] = overheads

    def _add_orgs(self, values: dict[str, dict[Labels, float]]) -> None:
        told = [((org_id, quota.resource), quota) for org_id, quota in self._orgs.limited()]
        values[c.QUOTA_LIMIT.name] = {labels: quota.limit for labels, quota in told}
        values[c.QUOTA_USED.name] = {labels: quota.used for labels, quota in told}
        values[c.QUOTA_REMAINING.name] = {labels: quota.remaining for labels, quota in told}
        values[c.QUOTA_RESET.name] = {labels: quota.reset_at for labels, quota in told}

    def _first(self, route: str) -> RouteSeries:
        """Make room for a route's first event, while there is room."""
        if len(self._routes) >= _ROUTES_CAP or route == OTHER:
            return self._other_route
        series = self._routes[route] = _new_route()
        return series


def _new_route() -> RouteSeries:
    return RouteSeries(c.REQUEST_DURATION.buckets, c.OVERHEAD.buckets, _SERIES_CAP)


def _buckets(histogram: Histogram) -> Buckets:
    return Buckets(tuple(histogram.counts), histogram.total)
