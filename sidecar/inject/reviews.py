"""What became of each review, counted; the injector's own page of metrics."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

METRIC: Final = "bb_sidecar_inject_reviews_total"


class ReviewOutcome(StrEnum):
    """What became of a request to the webhook; the same words label the metric."""

    PATCHED = "patched"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    MALFORMED = "malformed"
    ENCODED = "encoded"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    CROWDED_OUT = "crowded_out"
    GONE = "gone"
    FAULT = "fault"

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return _STATUS[self]


_STATUS: Final = {
    ReviewOutcome.PATCHED: 200,
    ReviewOutcome.UNCHANGED: 200,
    ReviewOutcome.REFUSED: 200,  # a review that says no
    ReviewOutcome.MALFORMED: 400,
    ReviewOutcome.ENCODED: 415,
    ReviewOutcome.TOO_LARGE: 413,
    ReviewOutcome.TOO_SLOW: 408,
    ReviewOutcome.CROWDED_OUT: 503,
    ReviewOutcome.GONE: 400,  # which has no reader any more
    ReviewOutcome.FAULT: 500,
}


class ReviewCounts:
    """Counts by outcome, each there from the start, so that an alert sees the first."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._counter = Counter(
            METRIC, "Reviews by outcome. refused: a labelled pod is not made.", ["outcome"],
            registry=self._registry,
        )  # fmt: skip
        ProcessCollector(registry=self._registry)
        for outcome in ReviewOutcome:
            self._counter.labels(outcome.value)

    def add(self, outcome: ReviewOutcome) -> None:
        """Count one."""
        self._counter.labels(outcome.value).inc()

    def page(self) -> tuple[bytes, str]:
        """Return the page and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
