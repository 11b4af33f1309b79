from __future__ import annotations

import pickle

import pytest

from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.snapshot import Buckets, Snapshot, merge


def test_counters_add_up() -> None:
    """Each worker counts its own."""
    left = Snapshot({"units_total": {("a",): 2}})
    right = Snapshot({"units_total": {("a",): 3, ("b",): 1}})
    assert merge([left, right]).values == {"units_total": {("a",): 5, ("b",): 1}}


@pytest.mark.parametrize(
    ("name", "merged"),
    [
        ("inflight_requests", 5),
        ("platform_breaker_state", 3),
        ("quota_used_units", 3),
        ("quota_remaining_units", 2),
        ("jwks_keys", 2),
    ],
)
def test_gauges_combine_as_their_kind_says(name: str, merged: float) -> None:
    """Things add up; of views, the one to act on counts."""
    snapshots = [Snapshot({name: {(): 2}}), Snapshot({name: {(): 3}})]
    assert merge(snapshots).values[name] == {(): merged}


def test_histograms_add_up() -> None:
    """Bucket by bucket."""
    name = "overhead_seconds"
    snapshots = [
        Snapshot(histograms={name: {("r",): Buckets((1, 2), 0.5)}}),
        Snapshot(histograms={name: {("r",): Buckets((3, 0), 1.0), ("s",): Buckets((1, 0), 0.1)}}),
    ]
    assert merge(snapshots).histograms[name] == {
        ("r",): Buckets((4, 2), 1.5),
        ("s",): Buckets((1, 0), 0.1),
    }


def test_merging_changes_no_snapshot() -> None:
    """They may be merged again at the next scrape."""
    left = Snapshot({"units_total": {("a",): 2}})
    merge([left, left])
    assert left == Snapshot({"units_total": {("a",): 2}})


def test_a_snapshot_crosses_processes() -> None:
    """A worker hands it to the one that answers the scrape."""
    metrics = Metrics(version="0")
    metrics.forwarded("chat", 0.1)
    snapshot = metrics.snapshot()
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot  # noqa: S301 (made a line ago)


def test_a_metric_of_another_version_is_a_fault() -> None:
    """Workers of one process tree run one version."""
    with pytest.raises(KeyError, match="no_such"):
        merge([Snapshot({"no_such": {(): 1}})])
