"""What a panel is drawn from: the series of its queries, named as its legends say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Points = Sequence[tuple[float, float]]
"""Unix seconds and value, in order."""

Answers = Mapping[tuple[int, str], Sequence[tuple[Mapping[str, str], Points]]]
"""By panel and query (`refId`): the labels and points of each series."""

PALETTE: Final = (
    "#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0",
    "#37872D", "#FADE2A", "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477",
)  # fmt: skip
COLOURS: Final = {
    "green": "#73BF69",
    "yellow": "#FADE2A",
    "orange": "#FF9830",
    "red": "#F2495C",
    "blue": "#5794F2",
    "text": "#CCCCDC",
}
"""Grafana's own colours by the names that panels use."""

FRESH_SECONDS: Final = 4.0
"""How near the end a point must be to be what is so now."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is shown, Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Series:
    """One line, bar or number; a dashed line has nothing under it."""

    name: str
    colour: str
    points: Points
    dashed: bool = False

    def last(self, span: Span) -> float | None:
        """Return the value at the end; None where there is none any more."""
        when, value = self.points[-1]
        return value if span.end - when <= FRESH_SECONDS else None


def series_of(panel: Mapping[str, Any], answers: Answers) -> list[Series]:
    """Name and colour the series of a panel, in the order of its queries."""
    fixed = _fixed_colours(panel)
    dashed = {ref for ref, each in _looks(panel) if each["id"] == "custom.lineStyle"}
    found: list[Series] = []
    for target in panel["targets"]:
        ref = target["refId"]
        for labels, points in answers.get((panel["id"], ref), ()):
            colour = fixed.get(ref) or PALETTE[len(found) % len(PALETTE)]
            name = _named(target.get("legendFormat", ""), labels)
            found.append(Series(name, colour, points, ref in dashed))
    return found


def colour_at(value: float, thresholds: Mapping[str, Any]) -> str:
    """Return the colour of the highest threshold that a value has reached."""
    colour = "text"
    for step in thresholds["steps"]:
        if step.get("value") is None or value >= step["value"]:
            colour = step["color"]
    return COLOURS.get(colour, colour)


def _named(legend: str, labels: Mapping[str, str]) -> str:
    if not legend:
        return ""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def _fixed_colours(panel: Mapping[str, Any]) -> dict[str, str]:
    return {
        ref: COLOURS[each["value"]["fixedColor"]]
        for ref, each in _looks(panel)
        if each["id"] == "color"
    }


def _looks(panel: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the properties that are set for all series of a query, with the query."""
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["id"] == "byFrameRefID":
            for each in override["properties"]:
                yield override["matcher"]["options"], each
