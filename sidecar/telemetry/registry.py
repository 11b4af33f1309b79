"""The metrics in a `prometheus_client` registry of the product. The sidecar never imports this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from typing_extensions import override

from sidecar.telemetry.catalogue import METRICS, PREFIX, Kind, Metric
from sidecar.telemetry.snapshot import Snapshot, merge

Parts = Callable[[], Iterable[Snapshot]]

_TRIES: Final = 5


class RegistryCollector(Collector):
    """The metrics of every engine of this process that uses the registry, as one."""

    def __init__(self) -> None:
        self._sources: list[Parts] = []

    def add(self, parts: Parts) -> None:
        """Show an engine's metrics from now on."""
        self._sources.append(parts)

    def remove(self, parts: Parts) -> bool:
        """Show them no longer; return whether others are left."""
        self._sources = [each for each in self._sources if each is not parts]
        return bool(self._sources)

    def describe(self) -> Iterable[Family]:
        """Name every metric, so that a registry finds a clash before there is a sample."""
        return [_family(metric) for metric in METRICS]

    @override
    def collect(self) -> Iterator[Family]:
        """Give each metric that has a sample. May run in a thread beside the event loop."""
        snapshot = self._snapshot()
        for metric in METRICS:
            family = _family(metric)
            if isinstance(family, HistogramMetricFamily):
                bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
                for labels, found in snapshot.histograms.get(metric.name, {}).items():
                    counts = zip(bounds, accumulate(map(float, found.counts)), strict=True)
                    family.add_metric(labels, list(counts), found.nanoseconds / 1e9)
            else:
                for labels, value in snapshot.values.get(metric.name, {}).items():
                    family.add_metric(labels, value)
            if family.samples:
                yield family

    def _snapshot(self) -> Snapshot:
        for _ in range(_TRIES - 1):
            try:
                return self._merged()
            except RuntimeError:
                continue  # a dict grew meanwhile: the event loop runs in another thread
        return self._merged()

    def _merged(self) -> Snapshot:
        return merge(part for parts in self._sources for part in parts())


_COLLECTORS: Final[WeakKeyDictionary[CollectorRegistry, RegistryCollector]] = WeakKeyDictionary()


def add_to(registry: CollectorRegistry, parts: Parts) -> Callable[[], None]:
    """Show an engine's metrics in a registry; return what ends that."""
    collector = _COLLECTORS.get(registry)
    if collector is None:
        collector = RegistryCollector()
        registry.register(collector)
        _COLLECTORS[registry] = collector
    collector.add(parts)

    def end() -> None:
        if not collector.remove(parts) and _COLLECTORS.get(registry) is collector:
            del _COLLECTORS[registry]
            registry.unregister(collector)

    return end


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    name = PREFIX + metric.name
    if metric.kind is Kind.HISTOGRAM:
        return HistogramMetricFamily(name, metric.help, labels=metric.labels)
    if metric.kind is Kind.COUNTER:
        return CounterMetricFamily(name, metric.help, labels=metric.labels)
    return GaugeMetricFamily(name, metric.help, labels=metric.labels)
