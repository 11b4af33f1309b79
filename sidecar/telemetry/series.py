"""Where counts live between two scrapes: plain integers in bounded dicts, cheap to add to."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

Labels = tuple[str, ...]

OTHER: Final = "other"
"""The label value that takes what no longer has a place of its own."""


class Counts:
    """A counter's series. Past `cap` of them, new ones are counted together under `other`."""

    __slots__ = ("_cap", "_width", "by_labels")

    def __init__(self, width: int, cap: int, known: tuple[Labels, ...] = ()) -> None:
        """Take `width` labels; `known` series are there from the start, at zero.

        A series that is there before its first event lets an alert see that event.
        """
        self._width = width
        self._cap = cap
        self.by_labels: dict[Labels, int] = dict.fromkeys(known, 0)

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count `amount` more, which is never negative."""
        try:
            self.by_labels[labels] += amount
        except KeyError:
            self._first(labels, amount)

    def _first(self, labels: Labels, amount: int) -> None:
        if len(self.by_labels) >= self._cap:
            labels = (OTHER,) * self._width
        self.by_labels[labels] = self.by_labels.get(labels, 0) + amount

    def values(self) -> dict[Labels, float]:
        """Copy what was counted."""
        return dict(self.by_labels)


class Histogram:
    """Counts of durations in fixed buckets, and their sum. Seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; a bucket holds what is at most its bound."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Times:
    """The durations of a route's calls: until the answer, and until the product was called."""

    __slots__ = ("added", "answered")

    def __init__(self, answered: tuple[float, ...], added: tuple[float, ...]) -> None:
        self.answered = Histogram(answered)
        self.added = Histogram(added)


class RouteSeries:
    """What is counted of one route; found once a call, so that the rest is integer steps.

    `times` are shared by all routes that meter nothing, until the route is seen to meter: they are
    nine tenths of a route's series, and what the sidecar adds to such a call is always the same.
    """

    __slots__ = ("answers", "metered", "times", "units")

    def __init__(self, cap: int, times: Times) -> None:
        self.answers = Counts(2, cap)  # reason, code
        self.units = Counts(2, cap)  # resource, reason
        self.times = times
        self.metered = False
