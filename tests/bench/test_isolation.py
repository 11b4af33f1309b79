"""The arithmetic of the isolation part."""

from __future__ import annotations

import gzip
import math
from dataclasses import replace

import pytest

from tests.bench.attacks import MIB, bombs, refused_bodies
from tests.bench.isolation import Isolation, quantile, ratio_of, read_buckets
from tests.bench.report import Report

_SCRAPE = """\
# TYPE bb_lag histogram
bb_lag_bucket{le="0.001"} 90
bb_lag_bucket{le="0.01"} 99
bb_lag_bucket{le="+Inf"} 100
bb_lag_sum 0.5
other_bucket{le="0.001"} 7
"""

_CALM = Isolation("an attack", "metered", 0.001, 0.002, 0.004, 2.0, 0.01, 100 * MIB, 0.005, 0)


def test_a_quiet_p99_below_two_milliseconds_counts_as_two() -> None:
    """Otherwise one wait for the processor would be the ratio."""
    assert ratio_of(0.0005, 0.004) == 2.0
    assert ratio_of(0.004, 0.012) == 3.0


def test_buckets_are_read_by_their_bound() -> None:
    """Only those of the histogram that is asked for."""
    assert read_buckets(_SCRAPE, "bb_lag") == {0.001: 90.0, 0.01: 99.0, math.inf: 100.0}


def test_a_quantile_is_of_what_was_observed_in_between() -> None:
    """What came before the attack does not count; inside a bucket it is linear."""
    before = {0.001: 50.0, 0.01: 50.0, math.inf: 50.0}
    after = {0.001: 50.0, 0.01: 150.0, math.inf: 150.0}
    assert quantile(before, after, 0.5) == pytest.approx(0.0055)


def test_a_quantile_beyond_the_highest_bound_is_that_bound() -> None:
    """More is not known of it."""
    assert quantile({}, {0.001: 0.0, 0.01: 10.0, math.inf: 100.0}, 0.99) == 0.01


def test_a_quantile_of_nothing_is_zero() -> None:
    """A scrape that saw nothing in between divides by nothing."""
    same = {0.001: 5.0, math.inf: 5.0}
    assert quantile(same, same, 0.99) == 0.0
    assert quantile({}, {}, 0.99) == 0.0


@pytest.mark.parametrize(
    "worse", [{"ratio": 3.1}, {"probe": 1.1}, {"peak": 257 * MIB}, {"failed": 1}]
)
def test_each_target_can_be_missed(worse: dict[str, float]) -> None:
    """Ratio, probes, memory and failed calls count, each alone."""
    assert _CALM.met
    assert not replace(_CALM, **worse).met  # type: ignore[arg-type]  # one field each


def test_a_row_is_reported_in_milliseconds_and_mebibytes() -> None:
    """The table has a line for each attack and route."""
    row = "| an attack | metered | 1.00 | 2.00 | 4.00 | 2.0 | 10 | 100 | 5.0 | 0 | met |"
    assert row in Report(isolation=[_CALM]).markdown()


@pytest.mark.parametrize("kind", list(refused_bodies()))
def test_refused_bodies_are_almost_as_large_as_may_be(kind: str) -> None:
    """Larger ones would be refused by their length, unread."""
    assert MIB * 0.9 < len(refused_bodies()[kind]) <= MIB


def test_bombs_are_small_and_grow() -> None:
    """One beyond the limit, one just within it."""
    sizes = {name: len(gzip.decompress(body)) for name, body in bombs().items()}
    assert all(len(body) < MIB for body in bombs().values())
    assert sizes["spaces"] > MIB >= sizes["just within"] > MIB * 0.9
