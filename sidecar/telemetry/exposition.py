"""A snapshot in the formats that Prometheus reads, with the process's own figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from typing_extensions import override

from sidecar.telemetry.catalogue import METRICS, PREFIX, Kind, Metric
from sidecar.telemetry.snapshot import Buckets, Snapshot

_OPENMETRICS: Final = "application/openmetrics-text"


class Exposition:
    """The page behind /metrics. Its registry is its own: nothing global is read or written."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        """Expose what `take` returns at each scrape."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(take))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics where `accept` names it, else text."""
        if _OPENMETRICS in accept:
            page: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]  # the library has no types there
            return page, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector(Collector):
    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take

    @override
    def collect(self) -> Iterator[Family]:
        snapshot = self._take()
        for metric in METRICS:
            yield _family(metric, snapshot)


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    name = PREFIX + metric.name
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, metric.help, labels=metric.labels)
        for labels, buckets in snapshot.histograms.get(metric.name, {}).items():
            histogram.add_metric(labels, _cumulative(metric, buckets), buckets.total)
        return histogram
    values = snapshot.values.get(metric.name, {})
    if metric.kind is Kind.COUNTER:
        counter = CounterMetricFamily(name, metric.help, labels=metric.labels)
        for labels, value in values.items():
            counter.add_metric(labels, value)
        return counter
    gauge = GaugeMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        gauge.add_metric(labels, value)
    return gauge


def _cumulative(metric: Metric, buckets: Buckets) -> list[tuple[str, float]]:
    bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
    return list(zip(bounds, accumulate(buckets.counts), strict=True))
