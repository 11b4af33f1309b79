"""What a scrape gives: the gauges, read from their owners, and the samples of a route."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from sidecar.domain.model import Reason
from sidecar.domain.quota import Quota
from sidecar.telemetry import catalogue as c
from sidecar.telemetry.series import OTHER, Histogram, Labels, RouteSeries, Times
from sidecar.telemetry.snapshot import Buckets, Sample

GaugeValue = float | Mapping[Labels, float]
"""A gauge's value, or one for each of its label values."""

KnownQuotas = Callable[[int], Sequence[tuple[str, Quota]]]
"""Gives the last answers of the platform for so many orgs, those used last, all at once."""

FREE_ROUTES: Final = "none"
"""The route label under which the durations of all routes that meter nothing are counted."""
_GAUGES: Final = {metric.name: metric for metric in c.METRICS if metric.kind.gauge}


class GaugesAtScrape:
    """The gauges of one process: no change has to be reported."""

    def __init__(self, orgs: int) -> None:
        self._orgs = orgs
        self._known_quotas: KnownQuotas = lambda _: ()
        self._gauges: dict[str, Callable[[], GaugeValue]] = {}

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

    def gauge_samples(self) -> Iterator[Sample]:
        """Read every gauge now."""
        for org_id, quota in self._known_quotas(self._orgs):
            if quota.unlimited:  # -1 as a number would read as a debt
                continue
            labels: Labels = (org_id, quota.resource)
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


def route_samples(route: str, series: RouteSeries) -> Iterator[Sample]:
    """Give what was counted of one route."""
    for (reason, code), count in series.answers.values().items():
        verdict = OTHER if reason == OTHER else Reason(reason).verdict
        yield c.REQUESTS.name, (route, verdict, reason, code), count
    for (resource, reason), count in series.units.values().items():
        yield c.UNITS.name, (resource, route, reason), count
    if series.metered and route != FREE_ROUTES:
        yield from time_samples(route, series.times)


def time_samples(route: str, times: Times) -> Iterator[Sample]:
    """Give the durations under a route's label, once there are some."""
    if any(times.answered.counts):
        yield c.REQUEST_DURATION.name, (route,), buckets_of(times.answered)
    if any(times.added.counts):
        yield c.OVERHEAD.name, (route,), buckets_of(times.added)


def buckets_of(histogram: Histogram) -> Buckets:
    """Take the state of a histogram."""
    return Buckets(tuple(histogram.counts), round(histogram.total * 1e9))
