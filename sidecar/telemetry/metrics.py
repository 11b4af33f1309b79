"""The metrics as verbs that the parts call, and as one snapshot that a scrape takes.

Verbs cost well under a microsecond: they add to plain integers, in line where every call comes by.
Everything else waits for the scrape. Single-threaded, as the event loop is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sidecar.domain.choices import OnReplay
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Decision, Loss, Reason
from sidecar.domain.quota import FailureKind
from sidecar.domain.seen import UNASKED, WELL, Seen
from sidecar.domain.usage import MissingCause, Settled, Tokens
from sidecar.telemetry import catalogue as c
from sidecar.telemetry.catalogue import Kind
from sidecar.telemetry.samples import (
    FREE_ROUTES,
    GaugesAtScrape,
    buckets_of,
    route_samples,
    time_samples,
)
from sidecar.telemetry.series import OTHER, Counts, Histogram, Labels, RouteSeries, Times
from sidecar.telemetry.snapshot import Sample, Snapshot, in_parts, merge

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
_OF_A_ROUTE: Final = frozenset({c.REQUESTS.name, c.UNITS.name})
_COUNTERS: Final = {
    metric.name: len(metric.labels)
    for metric in c.METRICS
    if metric.kind is Kind.COUNTER and metric.name not in _OF_A_ROUTE
}
"""Each with the number of its labels."""
_SETTLED: Final = frozenset({c.USAGE_TOKENS.name, c.USAGE_MISSING.name, c.SETTLED_UNITS.name})
_KNOWN: Final[Mapping[str, Sequence[str]]] = {
    c.CONSUME_REQUESTS.name: ("granted", "refused", *FailureKind),
    c.DEGRADED.name: tuple(FailureKind),
    c.IDENTITY_FAILURES.name: tuple(IdentityFailure),
    c.REPLAYS.name: tuple(OnReplay),
    c.CREDITS_LOST.name: tuple(Loss),
    c.WEBHOOK_EVENTS.name: ("applied", "unsigned"),
    c.NOTICES.name: ("published", "refused"),
    c.POLICY_RELOAD.name: ("loaded", "unchanged", "rejected"),
}
"""Labels of series that are there from the start: an alert sees their first event."""
_OF_ANY_ROUTE: Final = frozenset(
    {
        Reason.UNMETERED, Reason.BLOCKED, Reason.UNMATCHED, Reason.BAD_REQUEST, Reason.OVERLOADED,
        Reason.DRAINING,
    }
)  # fmt: skip
"""Reasons of decisions on routes that meter nothing; any other reason is of one that meters."""
_ANSWERED: Final = frozenset({"granted", "refused"})
_NOT_THEIRS: Final = frozenset({FailureKind.OVERLOADED.value, FailureKind.BREAKER_OPEN.value})
"""Outcomes that say nothing of the platform: it was not asked, or its answer came too late here."""
_OURS: Final = frozenset({0, 500, 502, 503, 504})
"""Statuses that do not show that the product answers: our own of an allowed call, and none."""


class Metrics(GaugesAtScrape):
    """All counts of one process, and what was last seen of its peers.

    What is logged too is counted in `Observer`. Routes come from the policy; no label comes from a
    client.
    """

    def __init__(self, *, build: Labels, orgs: int = 100) -> None:
        """Start at zero; `orgs` is how many orgs have quota gauges at a time."""
        super().__init__(orgs)
        self._build = build
        self._routes: dict[str, RouteSeries] = {}
        self._free_times = _new_times()
        self._other_route = RouteSeries(_SERIES_CAP, _new_times())
        self._other_route.metered = True
        self.keys = 0
        self.platform_seen = UNASKED
        self.tokens_seen = UNASKED
        self.upstream_seen = UNASKED
        self._outcome = ""
        self._consume_seconds = Histogram(c.CONSUME_DURATION.buckets)
        self._loop_lag = Histogram(c.LOOP_LAG.buckets)
        self._counts = {name: _new_counts(name, labels) for name, labels in _COUNTERS.items()}
        self._consumed = self._counts[c.CONSUME_REQUESTS.name]

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
        self._counts[c.CONNECTIONS_CLOSED.name].add((cause,))

    # AdmissionObserver

    def units_admitted(self, resource: str, route: str, reason: Reason, amount: int) -> None:
        """Count units that were admitted."""
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

    def replay_seen(self, action: OnReplay) -> None:
        """Count a request ID that was seen again."""
        self._counts[c.REPLAYS.name].add((action,))

    def lease_requested(self, outcome: str) -> None:
        """Count a lease that was asked for."""
        self._counts[c.LEASE_REQUESTS.name].add((outcome,))

    def usage_read(self, route: str, tokens: Tokens) -> None:
        """Count the tokens that an answer named."""
        for kind, count in (
            ("input", tokens.input),
            ("cached", tokens.cached),
            ("cache_write", tokens.cache_write),
            ("output", tokens.output),
        ):
            if count > 0:
                self._counts[c.USAGE_TOKENS.name].add((route, kind), count)

    def usage_missing(self, route: str, cause: MissingCause) -> None:
        """Count an answer that named no usage, or not all of it."""
        self._counts[c.USAGE_MISSING.name].add((route, cause))

    def units_settled(self, resource: str, route: str, outcome: Settled, units: int) -> None:
        """Count what became of units between a deposit and a cost."""
        self._counts[c.SETTLED_UNITS.name].add((resource, route, outcome), units)

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
        if outcome not in _NOT_THEIRS:
            self._outcome = outcome
            self.platform_seen = WELL if outcome in _ANSWERED else self._failure_of(outcome)

    def _failure_of(self, outcome: str) -> Seen:
        return Seen(asked=True, problem=f"the last call failed: {outcome}")

    def policy_reloaded(self, outcome: str) -> None:
        """Count a reload of the policy."""
        self._counts[c.POLICY_RELOAD.name].add((outcome,))

    def event_received(self, outcome: str) -> None:
        """Count a delivery of the platform's events."""
        self._counts[c.WEBHOOK_EVENTS.name].add((outcome,))

    def notice_ended(self, outcome: str) -> None:
        """Count a quota notice."""
        self._counts[c.NOTICES.name].add((outcome,))

    def loop_lagged(self, seconds: float) -> None:
        """Note how late the event loop came to a timer."""
        self._loop_lag.observe(seconds)

    # The scrape

    def snapshot(self) -> Snapshot:
        """Take the state of all metrics as plain data, at once."""
        return merge(self.parts())

    def parts(self) -> Iterator[Snapshot]:
        """Take the state of all metrics in parts of one slice, each at the moment it is taken."""
        return in_parts(self.samples())

    def samples(self) -> Iterator[Sample]:
        """Give each series with its value. Calls may be counted between two of them."""
        for name, counts in self._counts.items():
            for labels, count in counts.values().items():
                yield name, labels, count
        yield c.JWKS_KEYS.name, (), self.keys
        yield c.BUILD_INFO.name, self._build, 1
        yield c.CONSUME_DURATION.name, (), buckets_of(self._consume_seconds)
        yield c.LOOP_LAG.name, (), buckets_of(self._loop_lag)
        for route, series in (*self._routes.items(), (OTHER, self._other_route)):
            yield from route_samples(route, series)
        yield from time_samples(FREE_ROUTES, self._free_times)
        yield from self.gauge_samples()

    def _first(self, route: str) -> RouteSeries:
        """Make room for a route's first event, while there is room."""
        if len(self._routes) >= _ROUTES_CAP or route == OTHER:
            return self._other_route
        series = self._routes[route] = RouteSeries(_SERIES_CAP, self._free_times)
        series.metered = route == FREE_ROUTES  # its times are the shared ones, whatever it does
        return series


def _new_counts(name: str, labels: int) -> Counts:
    known = tuple((str(value),) for value in _KNOWN.get(name, ())) if labels else ((),)
    return Counts(labels, _SETTLED_CAP if name in _SETTLED else _SERIES_CAP, known)


def _meters(series: RouteSeries) -> None:
    """Give a route that is seen to meter its own durations."""
    series.metered = True
    series.times = _new_times()


def _new_times() -> Times:
    return Times(c.REQUEST_DURATION.buckets, c.OVERHEAD.buckets)
