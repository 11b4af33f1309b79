"""Which panels of the dashboards the pictures in docs/dashboards show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.kubernetes.observability.expressions import DOCS

FOLDER: Final = DOCS / "dashboards"
LARGEST: Final = 60_000  # bytes of one picture


@dataclass(frozen=True, slots=True)
class Picture:
    """Which panels are drawn: numbers above, charts below, three in a row."""

    numbers: Sequence[str]
    charts: Sequence[str]


PICTURES: Final = {
    "overview": Picture(
        ["Requests", "Denied", "Admitted unconfirmed", "Time we add, p99", "Platform breaker"],
        [
            "Allowed, marked, denied",
            "Denied by reason",
            "Nearest to their limit",
            "Time we add",
            "Platform's answers",
            "Waiting in the journal",
        ],
    ),
    "org": Picture(
        ["Used of the limit", "Left", "Runs out", "Reset in"],
        ["Used, with its limit", "Units a day", "Time until it runs out"],
    ),
    "operations": Picture(
        [],
        [
            "Requests by route",
            "Errors of the product",
            "Breaker",
            "Decided without an answer",
            "Fail-open budget spent",
            "Leases",
        ],
    ),
}
