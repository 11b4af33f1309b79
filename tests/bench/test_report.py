"""The goals, and results that are kept part by part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.doors import door_peers
from tests.bench.goals import GOALS, Goal
from tests.bench.loads import LOADS
from tests.bench.peers import COMPILED, all_peers
from tests.bench.report import Report
from tests.bench.streaming import PACED, Streaming
from tests.bench.throughput import Throughput


def _row(peer: str, rate: float) -> Throughput:
    return Throughput(peer, peer, 32, rate, 0.001, 0.002, 5e-5, 0, (rate,), 2e-5)


def _events(peer: str, cpu: float) -> Streaming:
    return Streaming(peer, peer, 16, PACED, 20_000.0, 0.01, cpu)


def test_a_part_replaces_its_own_rows_alone(tmp_path: Path) -> None:
    """What another run measured of other parts stays, with its date."""
    first = Report(loads={"tls": [_row("nginx_auth", 1.0)]}, measured={"tls": "then"})
    first.write(tmp_path)
    second = Report.read(tmp_path)
    second.loads["plain"] = [_row("envoy", 2.0)]
    second.note("plain")
    second.write(tmp_path)
    third = Report.read(tmp_path)
    assert [row.rate for row in third.loads["tls"]] == [1.0]
    assert [row.rate for row in third.loads["plain"]] == [2.0]
    assert third.measured["tls"] == "then"


def test_a_streams_rows_are_replaced_peer_by_peer() -> None:
    """Settled streams are measured beside exact ones alone; what was measured of others stays."""
    report = Report(streaming=[_events("envoy", 3e-6), _events("sidecar_exact_stream", 9e-6)])
    report.replace_streaming(
        [_events("sidecar_exact_stream", 5e-6), _events("sidecar_settled_stream", 6e-6)]
    )
    assert report.figures()["event_16"] == {
        "envoy": pytest.approx(3),
        "sidecar_exact_stream": pytest.approx(5),
        "sidecar_settled_stream": pytest.approx(6),
    }


def test_each_part_has_a_table_with_user_and_system_time() -> None:
    """Both are shown beside each rate."""
    report = Report(loads={"plain": [_row("envoy", 2000.0)]})
    assert "| envoy | 32 | 2,000 | 1.00 | 2.00 | 30 + 20 | 0 |" in report.markdown()


@pytest.mark.parametrize(
    ("at_least", "judged"), [(True, ("met", "**missed**")), (False, ("**missed**", "met"))]
)
def test_each_build_has_its_own_bound(*, at_least: bool, judged: tuple[str, str]) -> None:
    """A ratio of 1.4 is enough for one and not for the other."""
    goal = Goal("g", "tls", "exact", "envoy", 1.2, 1.6, at_least)
    figures = {"tls": {"sidecar_exact": 14.0, f"sidecar_exact{COMPILED}": 14.0, "envoy": 10.0}}
    row = goal.row(figures)
    assert row is not None
    assert (row[3], row[6]) == judged


def test_a_goal_that_was_not_measured_has_no_row() -> None:
    """Nor has one whose other system could not run."""
    goal = Goal("g", "tls", "exact", "envoy", 1.2, 1.6)
    assert goal.row({}) is None
    assert goal.row({"tls": {"sidecar_exact": 14.0}}) is None


def test_parts_and_goals_name_peers_that_there_are() -> None:
    """A name with a typing error would leave a row out in silence."""
    known = {peer.name for peer in (*all_peers(), *door_peers())}
    assert {name for part in LOADS.values() for name in part.peers} <= known
    assert {goal.other for goal in GOALS if goal.other} <= known
    for goal in GOALS:
        assert {f"sidecar_{goal.ours}", f"sidecar_{goal.ours}{COMPILED}"} <= known
        part = LOADS.get(goal.figure)
        if part is not None:
            assert {goal.other, f"sidecar_{goal.ours}"} <= set(part.peers)
