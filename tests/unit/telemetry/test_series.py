from __future__ import annotations

import pytest

from sidecar.telemetry.series import Counts, Histogram, RouteSeries, Times


def test_counts_add_up() -> None:
    """Per label values."""
    counts = Counts(1, 10)
    counts.add(("a",))
    counts.add(("a",), 4)
    assert counts.values() == {("a",): 5}


def test_known_series_are_there_before_their_first_event() -> None:
    """An alert on an increase needs a nought to increase from."""
    assert Counts(1, 10, (("a",),)).values() == {("a",): 0}


def test_past_the_cap_new_series_are_counted_together() -> None:
    """Whatever comes, the number of series stays bounded."""
    counts = Counts(2, 3)
    for number in range(1000):
        counts.add((str(number), "x"))
    assert counts.values()["other", "other"] == 997
    assert len(counts.values()) == 4


def test_past_the_cap_old_series_still_count() -> None:
    """Only newcomers share."""
    counts = Counts(1, 1)
    counts.add(("a",))
    counts.add(("b",))
    counts.add(("a",))
    assert counts.values() == {("a",): 2, ("other",): 1}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.1, 0), (0.10001, 1), (1.0, 1), (1.1, 2)]
)
def test_a_bucket_holds_what_is_at_most_its_bound(seconds: float, bucket: int) -> None:
    """As `le` says."""
    histogram = Histogram((0.1, 1.0))
    histogram.observe(seconds)
    assert histogram.counts.index(1) == bucket


def test_a_histogram_sums_its_seconds() -> None:
    """For the mean."""
    histogram = Histogram((1.0,))
    histogram.observe(0.5)
    histogram.observe(2.0)
    assert (histogram.counts, histogram.total) == ([1, 1], 2.5)


def test_a_route_starts_at_nought() -> None:
    """With counts of its own, and the times of all routes that meter nothing."""
    times = Times((1.0,), (0.1,))
    series = RouteSeries(5, times)
    assert (series.answers.values(), series.units.values(), series.metered) == ({}, {}, False)
    assert series.times is times
    assert (times.answered.counts, times.added.counts) == ([0, 0], [0, 0])
