from __future__ import annotations

from sidecar.inject.reviews import METRIC, Outcome, ReviewCounts


def test_every_outcome_has_a_series_from_the_start() -> None:
    """So that an alert sees the first of it."""
    counts = ReviewCounts()
    counts.add(Outcome.REFUSED)
    page = counts.page()[0].decode()
    found = [line for line in page.splitlines() if line.startswith(METRIC)]
    assert found == [
        f'{METRIC}{{outcome="{each}"}} {1.0 if each is Outcome.REFUSED else 0.0}'
        for each in Outcome
    ]


def test_every_outcome_has_a_status() -> None:
    """A review that says no is an answer like any other."""
    assert {each: each.status for each in Outcome if each.status == 200} == {
        Outcome.PATCHED: 200,
        Outcome.UNCHANGED: 200,
        Outcome.REFUSED: 200,
    }
