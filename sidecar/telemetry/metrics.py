"""The metrics as verbs that the parts call, and as one snapshot that a scrape takes.

Verbs cost well under a microsecond: they add to plain integers, in line where every call comes by.
Everything else waits for the scrape. Satisfies the observers of sidecar.domain.ports.
Single-threaded, as the event loop is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from sidecar.domain.choices import OnReplay
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Charge, Decision, Failed, FailureKind, Loss, Quota, Reason
from sidecar.domain.seen import UNASKED, WELL, Seen
from sidecar.domain.usage import MissingCause, Settled, Tokens
from sidecar.telemetry import catalogue as c
from sidecar.telemetry.series import OTHER, Counts, Histogram, Labels, RouteSeries, Times
from sidecar.telemetry.snapshot import Buckets, Sample, Snapshot, in_parts, merge

GaugeValue = float | Mapping[Labels, float]
"""A gauge's value, or one for each of its label values."""

KnownQuotas = Callable[[int], Sequence[tuple[str, Quota]]]
"""Gives the last answers of the platform for so many orgs, those used last, all at once."""

_ROUTES_CAP: Final = 2000  # four times the routes of a large policy; reloads may rename them
_SETTLED_CAP: Final = 7 * _ROUTES_CAP  # every outcome, of one resource each
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
_FREE_ROUTES: Final = "none"
"""The route label under which the durations of all routes that meter nothing are counted."""
_OF_ANY_ROUTE: Final = frozenset(
    {
        Reason.UNMETERED, Reason.BLOCKED, Reason.UNMATCHED, Reason.BAD_REQUEST, Reason.OVERLOADED,
        Reason.DRAINING,
    }
)  # fmt: skip
"""Reasons of decisions on routes that meter nothing; any other reason is of one that meters."""
_ANSWERED: Final = frozenset({"granted", "refused"})
_OURS: Final = frozenset({0, 500, 502, 503, 504})
"""Statuses that do not show that the product answers: our own of an allowed call, and none."""
_GAUGES: Final = {metric.name: metric for metric in c.METRICS if metric.kind.gauge}


class Metrics:
    """All counts of one process, and what was last seen of its peers.

    Routes come from the policy; no label comes from a client.
    """

    def __init__(self, *, build: Labels, orgs: int = 100) -> None:
        """Start at zero; `orgs` is how many orgs have quota gauges at a time."""
        self._build = build
        self._routes: dict[str, RouteSeries] = {}
        self._free_times = _new_times()
        self._other_route = RouteSeries(_SERIES_CAP, _new_times())
        self._other_route.metered = True
        self._orgs = orgs
        self._known_quotas: KnownQuotas = _none_known
        self._gauges: dict[str, Callable[[], GaugeValue]] = {}
        self.keys = 0
        self.platform_seen = UNASKED
        self.tokens_seen = UNASKED
        self.upstream_seen = UNASKED
        self._outcome = ""
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
        self._tokens = Counts(2, _SETTLED_CAP)
        self._usage_missing = Counts(2, _SETTLED_CAP)
        self._settled = Counts(3, _SETTLED_CAP)
        self._refreshes = Counts(1, _SERIES_CAP)
        self._upstream_errors = Counts(1, _SERIES_CAP)
        self._closed = Counts(1, _SERIES_CAP)
        self._events = Counts(1, _SERIES_CAP, (("applied",), ("unsigned",)))
        self._notices = Counts(1, _SERIES_CAP, (("published",), ("refused",)))
        self._reloads = Counts(1, _SERIES_CAP, (("loaded",), ("unchanged",), ("rejected",)))

    # RequestObserver

    def request_finished(
        self, decision: Decision, code: int, seconds: float, added: float | None = None
    ) -> None:
        """Count one answer, `seconds` after its head was read; `code` 0 if none was sent.

        `added` is the time before the upstream was called, where it was.
        """
        series = self._routes.get(decision.route) or self._first(decision.route)
        if not series.metered and decision.reason not in _OF_ANY_ROUTE:
            _meters(series)
        label = _CODES.get(code) or _CLASSES.get(code // 100, OTHER)
        answers, key = series.answers, (decision.reason, label)
        if key in answers.by_labels:
            answers.by_labels[key] += 1
        else:
            answers.add(key)
        times = series.times.answered
        times.counts[bisect_left(times.bounds, seconds)] += 1
        times.total += seconds
        if added is not None:
            times = series.times.added
            times.counts[bisect_left(times.bounds, added)] += 1
            times.total += added
        if self.upstream_seen is not WELL and decision.permit is not None and code not in _OURS:
            self.upstream_seen = WELL

    def connection_closed(self, cause: str) -> None:
        """Count a client connection that a deadline or a bound ended."""
        self._closed.add((cause,))

    def upstream_failed(self, kind: str, detail: str) -> None:  # noqa: ARG002
        """Count a failure of the product."""
        self._upstream_errors.add((kind,))

    # AdmissionObserver

    def identity_failed(self, kind: IdentityFailure) -> None:
        """Count a metered call without a verified identity."""
        self._failures.add((kind,))

    def units_admitted(self, resource: str, route: str, reason: Reason, amount: int) -> None:
        """Count units that were let through to the product."""
        series = self._routes.get(route) or self._first(route)
        if not series.metered:
            _meters(series)
        units, key = series.units, (resource, reason)
        if key in units.by_labels:
            units.by_labels[key] += amount
        else:
            units.add(key, amount)
        if reason is not Reason.SHADOW:  # which passes without an identity too
            self.tokens_seen = WELL

    def platform_degraded(self, kind: FailureKind) -> None:
        """Count a call that was decided without a valid answer of the platform."""
        self._degraded.add((kind,))

    def admitted_unconfirmed(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        """Count nothing: `units_total` and `platform_degraded_total` have it, the log when."""

    def replay_seen(self, action: OnReplay) -> None:
        """Count a request ID that was seen again."""
        self._replays.add((action,))

    def quota_seen(self, org_id: str, quota: Quota) -> None:
        """Count nothing: a scrape reads the quotas from the ledger."""

    def journal_replayed(self, outcome: str, units: int) -> None:
        """Count units that were reported to the platform later."""
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

    def usage_read(self, route: str, tokens: Tokens) -> None:
        """Count the tokens that an answer named."""
        for kind, count in (
            ("input", tokens.input),
            ("cached", tokens.cached),
            ("cache_write", tokens.cache_write),
            ("output", tokens.output),
        ):
            if count > 0:
                self._tokens.add((route, kind), count)

    def usage_missing(self, route: str, cause: MissingCause) -> None:
        """Count an answer that named no usage, or not all of it."""
        self._usage_missing.add((route, cause))

    def units_settled(self, resource: str, route: str, outcome: Settled, units: int) -> None:
        """Count what became of units between a deposit and a cost."""
        self._settled.add((resource, route, outcome), units)

    # PlatformObserver, IdentityObserver, PolicyObserver, EventObserver, NoticeObserver

    def consume_finished(self, outcome: str, seconds: float) -> None:
        """Count one request to the platform."""
        consumed, key = self._consumed, (outcome,)
        if key in consumed.by_labels:
            consumed.by_labels[key] += 1
        else:
            consumed.add(key)
        times = self._consume_seconds
        times.counts[bisect_left(times.bounds, seconds)] += 1
        times.total += seconds
        if outcome != self._outcome:
            self._changed(outcome)

    def _changed(self, outcome: str) -> None:
        """Note that the platform answers in another way than before."""
        if outcome != FailureKind.OVERLOADED.value:  # that is our own
            self._outcome = outcome
            self.platform_seen = WELL if outcome in _ANSWERED else self._failure_of(outcome)

    def _failure_of(self, outcome: str) -> Seen:
        return Seen(asked=True, problem=f"its last answer was {outcome}")

    def consume_failed(self, failed: Failed) -> None:
        """Count nothing: its outcome is counted."""

    def keys_refreshed(self, outcome: str, keys: int, detail: str = "") -> None:  # noqa: ARG002
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

    def read_at_scrape(self, name: str, provider: Callable[[], GaugeValue]) -> None:
        """Read a gauge from its owner at each scrape, so that no change has to be reported.

        `name` is that of the catalogue, without prefix. A provider returns a number, or a number
        for each tuple of label values. Raises ValueError for what is no gauge.
        """
        if name not in _GAUGES:
            raise ValueError(f"{name!r} is no gauge: one of {', '.join(sorted(_GAUGES))}")
        self._gauges[name] = provider

    def read_quotas_at_scrape(self, known: KnownQuotas) -> None:
        """Read the quotas of the orgs used last from their owner at each scrape."""
        self._known_quotas = known

    def snapshot(self) -> Snapshot:
        """Take the state of all metrics as plain data, at once."""
        return merge(self.parts())

    def parts(self) -> Iterator[Snapshot]:
        """Take the state of all metrics in parts of one slice, each at the moment it is taken."""
        return in_parts(self.samples())

    def samples(self) -> Iterator[Sample]:
        """Give each series with its value. Calls may be counted between two of them."""
        for name, counts in self._counts():
            for labels, count in counts.values().items():
                yield name, labels, count
        yield c.JWKS_KEYS.name, (), self.keys
        yield c.BUILD_INFO.name, self._build, 1
        yield c.CONSUME_DURATION.name, (), _buckets(self._consume_seconds)
        yield c.LOOP_LAG.name, (), _buckets(self._loop_lag)
        for route, series in (*self._routes.items(), (OTHER, self._other_route)):
            yield from _route_samples(route, series)
        yield from _time_samples(_FREE_ROUTES, self._free_times)
        for org_id, quota in self._known_quotas(self._orgs):
            if quota.unlimited:  # -1 as a number would read as a debt
                continue
            labels = (org_id, quota.resource)
            yield c.QUOTA_LIMIT.name, labels, quota.limit
            yield c.QUOTA_USED.name, labels, quota.used
            yield c.QUOTA_REMAINING.name, labels, quota.remaining
            yield c.QUOTA_RESET.name, labels, quota.reset_at
        for name, provider in self._gauges.items():
            reading = provider()
            if isinstance(reading, int | float):
                yield name, (), reading
            else:
                for labels, value in reading.items():
                    yield name, labels, value

    def _counts(self) -> tuple[tuple[str, Counts], ...]:
        """Return the counters that are not of a route, by metric."""
        return (
            (c.CONSUME_REQUESTS.name, self._consumed),
            (c.DEGRADED.name, self._degraded),
            (c.IDENTITY_FAILURES.name, self._failures),
            (c.REPLAYS.name, self._replays),
            (c.JOURNAL_REPLAYED.name, self._journal_replayed),
            (c.JOURNAL_DROPPED.name, self._journal_dropped),
            (c.CREDITS_LOST.name, self._credits_lost),
            (c.LEASE_REQUESTS.name, self._leases),
            (c.USAGE_TOKENS.name, self._tokens),
            (c.USAGE_MISSING.name, self._usage_missing),
            (c.SETTLED_UNITS.name, self._settled),
            (c.JWKS_REFRESH.name, self._refreshes),
            (c.UPSTREAM_ERRORS.name, self._upstream_errors),
            (c.CONNECTIONS_CLOSED.name, self._closed),
            (c.WEBHOOK_EVENTS.name, self._events),
            (c.NOTICES.name, self._notices),
            (c.POLICY_RELOAD.name, self._reloads),
        )

    def _first(self, route: str) -> RouteSeries:
        """Make room for a route's first event, while there is room."""
        if len(self._routes) >= _ROUTES_CAP or route == OTHER:
            return self._other_route
        series = self._routes[route] = RouteSeries(_SERIES_CAP, self._free_times)
        series.metered = route == _FREE_ROUTES  # its times are the shared ones, whatever it does
        return series


def _none_known(orgs: int) -> Sequence[tuple[str, Quota]]:  # noqa: ARG001 - a `KnownQuotas`
    return ()


def _meters(series: RouteSeries) -> None:
    """Give a route that is seen to meter its own durations."""
    series.metered = True
    series.times = _new_times()


def _new_times() -> Times:
    return Times(c.REQUEST_DURATION.buckets, c.OVERHEAD.buckets)


def _route_samples(route: str, series: RouteSeries) -> Iterator[Sample]:
    for (reason, code), count in series.answers.values().items():
        verdict = OTHER if reason == OTHER else Reason(reason).verdict
        yield c.REQUESTS.name, (route, verdict, reason, code), count
    for (resource, reason), count in series.units.values().items():
        yield c.UNITS.name, (resource, route, reason), count
    if series.metered and route != _FREE_ROUTES:
        yield from _time_samples(route, series.times)


def _time_samples(route: str, times: Times) -> Iterator[Sample]:
    if any(times.answered.counts):
        yield c.REQUEST_DURATION.name, (route,), _buckets(times.answered)
    if any(times.added.counts):
        yield c.OVERHEAD.name, (route,), _buckets(times.added)


def _buckets(histogram: Histogram) -> Buckets:
    return Buckets(tuple(histogram.counts), round(histogram.total * 1e9))
