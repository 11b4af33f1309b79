"""The state of all metrics at one moment as plain data, and how several workers' become one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, assert_never

from sidecar.telemetry.catalogue import METRICS, Kind
from sidecar.telemetry.series import Labels

_KINDS: Final = {metric.name: metric.kind for metric in METRICS}


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram's counts, one for each bound and one beyond the last, and the sum in seconds."""

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Values by metric name without prefix, then by label values. Pickles, for worker to admin."""

    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, Buckets]] = field(default_factory=dict)


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Make one of several workers' snapshots: each metric combines as its kind says.

    Raises KeyError for a metric that is not in the catalogue: a worker of another version.
    """
    merged = Snapshot()
    for snapshot in snapshots:
        for name, series in snapshot.values.items():
            combine = _combination(_KINDS[name])
            into = merged.values.setdefault(name, {})
            for labels, value in series.items():
                into[labels] = combine(into[labels], value) if labels in into else value
        for name, buckets_by_labels in snapshot.histograms.items():
            found = merged.histograms.setdefault(name, {})
            for labels, buckets in buckets_by_labels.items():
                found[labels] = _added(found[labels], buckets) if labels in found else buckets
    return merged


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


def _added(left: Buckets, right: Buckets) -> Buckets:
    counts = tuple(a + b for a, b in zip(left.counts, right.counts, strict=True))
    return Buckets(counts, left.total + right.total)
