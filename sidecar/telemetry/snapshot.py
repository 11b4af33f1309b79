"""The state of all metrics at one moment as plain data, and how several workers' become one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from sidecar.telemetry.catalogue import METRICS, Kind
from sidecar.telemetry.series import Labels
from sidecar.telemetry.slices import in_slices

_KINDS: Final = {metric.name: metric.kind for metric in METRICS}
_PART: Final = 400
"""Samples of a part that a worker sends to its parent."""
_OF_FILES: Final = frozenset(metric.name for metric in METRICS if metric.of_file)


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram's counts, one for each bound and one beyond the last, and the sum.

    The sum is in whole nanoseconds: it adds up exactly, in whatever order workers are added. A sum
    of floats goes backwards by its last digit when that order changes.
    """

    counts: tuple[int, ...]
    nanoseconds: int


Sample = tuple[str, Labels, float | Buckets]
"""A metric's name without prefix, the values of its labels, and its value."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Values by metric name without prefix, then by label values. Pickles, for worker to admin."""

    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, Buckets]] = field(default_factory=dict)

    def samples(self) -> Iterator[Sample]:
        """Give each series, with its value."""
        for name, series in self.values.items():
            for labels, value in series.items():
                yield name, labels, value
        for name, histograms in self.histograms.items():
            for labels, buckets in histograms.items():
                yield name, labels, buckets

    def add(self, sample: Sample) -> None:
        """Combine a series with what there is of it, as its metric's kind says.

        Raises KeyError for a metric that is not in the catalogue: a worker of another version.
        """
        name, labels, value = sample
        if isinstance(value, Buckets):
            histograms = self.histograms.setdefault(name, {})
            found = histograms.get(labels)
            histograms[labels] = value if found is None else _added(found, value)
        else:
            combine = _COMBINED[_KINDS[name]]
            series = self.values.setdefault(name, {})
            series[labels] = combine(series[labels], value) if labels in series else value


def in_parts(samples: Iterable[Sample]) -> Iterator[Snapshot]:
    """Divide samples into snapshots of 400 samples each, taken when they are asked for."""
    part, size = Snapshot(), 0
    for sample in samples:
        part.add(sample)
        size += 1
        if size == _PART:
            yield part
            part, size = Snapshot(), 0
    if size:
        yield part


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Make one of several snapshots, at once. Raises KeyError as `Snapshot.add` does."""
    merged = Snapshot()
    for _ in _merging(merged, snapshots):
        pass
    return merged


async def merge_in_slices(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Make one of several snapshots, and give the loop back in between."""
    merged = Snapshot()
    await in_slices(_merging(merged, snapshots))
    return merged


def lasting(snapshot: Snapshot, *, with_files: bool) -> Snapshot:
    """Keep what stays true of a process that has ended: what it counted.

    `with_files` keeps the gauges of what lies in its files too, until its successor reads them.
    """
    kept = Snapshot(histograms=snapshot.histograms)
    for name, series in snapshot.values.items():
        if not _KINDS[name].gauge or (with_files and name in _OF_FILES):
            kept.values[name] = series
    return kept


def _merging(merged: Snapshot, snapshots: Iterable[Snapshot]) -> Iterator[None]:
    for snapshot in snapshots:
        for sample in snapshot.samples():
            merged.add(sample)
            yield


def _combination(kind: Kind) -> Callable[[float, float], float]:
    match kind:
        case Kind.COUNTER | Kind.GAUGE_SUM | Kind.HISTOGRAM:
            return operator.add
        case Kind.GAUGE_MAX:
            return max
        case Kind.GAUGE_MIN:
            return min
        case _:
            assert_never(kind)


_COMBINED: Final = {kind: _combination(kind) for kind in Kind}


def _added(left: Buckets, right: Buckets) -> Buckets:
    counts = tuple(a + b for a, b in zip(left.counts, right.counts, strict=True))
    return Buckets(counts, left.nanoseconds + right.nanoseconds)
