from __future__ import annotations

from sidecar.inject.reviews import METRIC, ReviewCounts, ReviewOutcome


def test_every_outcome_has_a_series_from_the_start() -> None:
    """So that an alert sees the first of it."""
    counts = ReviewCounts()
    counts.add(ReviewOutcome.REFUSED)
    page = counts.page()[0].decode()
    found = [line for line in page.splitlines() if line.startswith(METRIC)]
    assert found == [
        f'{METRIC}{{outcome="{each}"}} {1.0 if each is ReviewOutcome.REFUSED else 0.0}'
        for each in ReviewOutcome
    ]


def test_every_outcome_has_a_status() -> None:
    """A review that says no is an answer like any other."""
    assert {each: each.status for each in ReviewOutcome if each.status == 200} == {
        ReviewOutcome.PATCHED: 200,
        ReviewOutcome.UNCHANGED: 200,
        ReviewOutcome.REFUSED: 200,
    }
