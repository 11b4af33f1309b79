from __future__ import annotations

import pickle

import pytest

from sidecar.domain.model import Decision, Reason
from sidecar.telemetry.catalogue import METRICS
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.series import Labels
from sidecar.telemetry.snapshot import (
    Buckets,
    Snapshot,
    in_parts,
    lasting,
    merge,
    merge_in_slices,
)


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
        Snapshot(histograms={name: {("r",): Buckets((1, 2), 5)}}),
        Snapshot(histograms={name: {("r",): Buckets((3, 0), 10), ("s",): Buckets((1, 0), 1)}}),
    ]
    assert merge(snapshots).histograms[name] == {
        ("r",): Buckets((4, 2), 15),
        ("s",): Buckets((1, 0), 1),
    }


def test_merging_changes_no_snapshot() -> None:
    """They may be merged again at the next scrape."""
    left = Snapshot({"units_total": {("a",): 2}})
    merge([left, left])
    assert left == Snapshot({"units_total": {("a",): 2}})


def test_a_snapshot_crosses_processes() -> None:
    """A worker hands it to the one that answers the scrape."""
    metrics = Metrics(build=("0", "abc123", "3.13.0", "pure"))
    metrics.request_finished(Decision(Reason.WITHIN_QUOTA, "chat", "r", None), 200, 0.2, 0.1)
    snapshot = metrics.snapshot()
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot  # noqa: S301 (made a line ago)


def test_a_metric_of_another_version_is_a_fault() -> None:
    """Workers of one process tree run one version."""
    with pytest.raises(KeyError, match="no_such"):
        merge([Snapshot({"no_such": {(): 1}})])


async def test_merging_in_slices_gives_the_same() -> None:
    """Only the loop has its turn in between."""
    snapshots = [
        Snapshot({"units_total": {(str(at),): at for at in range(1000)}}),
        Snapshot({"units_total": {("5",): 10}}),
    ]
    assert await merge_in_slices(snapshots) == merge(snapshots)


def test_samples_divide_into_parts_of_one_slice() -> None:
    """None is lost, and the last part may be small."""
    whole = Snapshot({"units_total": {(str(at),): at for at in range(801)}})
    parts = list(in_parts(whole.samples()))
    assert [len(list(part.samples())) for part in parts] == [400, 400, 1]
    assert merge(parts) == whole


@pytest.mark.parametrize("with_files", [False, True])
def test_what_lasts_is_what_was_counted(*, with_files: bool) -> None:
    """A gauge goes with its process, but for one of its file."""
    histograms: dict[str, dict[Labels, Buckets]] = {"overhead_seconds": {("r",): Buckets((1,), 1)}}
    gauges = [metric.name for metric in METRICS if metric.kind.gauge]
    counters: dict[str, dict[Labels, float]] = {"units_total": {("a",): 2.0}}
    snapshot = Snapshot({**counters, **{name: {(): 1.0} for name in gauges}}, histograms)
    kept = lasting(snapshot, with_files=with_files)
    assert kept.histograms == histograms
    files = {"journal_pending_units", "journal_oldest_seconds"} if with_files else set()
    assert kept.values == {**counters, **{name: {(): 1.0} for name in files}}
