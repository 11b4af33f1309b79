"""What became of each review, counted; the injector's own page of metrics."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

METRIC: Final = "bb_sidecar_inject_reviews_total"


class Outcome(StrEnum):
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
    Outcome.PATCHED: 200,
    Outcome.UNCHANGED: 200,
    Outcome.REFUSED: 200,  # a review that says no
    Outcome.MALFORMED: 400,
    Outcome.ENCODED: 415,
    Outcome.TOO_LARGE: 413,
    Outcome.TOO_SLOW: 408,
    Outcome.CROWDED_OUT: 503,
    Outcome.GONE: 400,  # which has no reader any more
    Outcome.FAULT: 500,
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
        for outcome in Outcome:
            self._counter.labels(outcome.value)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self._counter.labels(outcome.value).inc()

    def page(self) -> tuple[bytes, str]:
        """Return the page and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
