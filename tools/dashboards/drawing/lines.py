"""Panels of lines over time: axes, thresholds, stacks, legend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from tools.dashboards.drawing.canvas import FAINT, GRID, Canvas, cut, width_of
from tools.dashboards.drawing.data import COLOURS, Series, Span
from tools.dashboards.drawing.formats import clock, shown

_GAP_SECONDS: Final = 1.2
"""Points further apart than this are not joined."""

_BASES: Final = {"s": (86400, 3600, 60), "bytes": (2**30, 2**20, 2**10)}
"""What round numbers are multiples of, where it is not of one."""

_FILLED: Final = 3
"""The area under lines is filled where there are no more of them: more would be mud."""

_LEGEND_ROWS: Final = 2
_NEAR: Final = 2.0
"""A threshold within this many times the largest value is shown: others would flatten all."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where on the canvas, and what of time and value: lengths in pixels, time in Unix seconds."""

    x: float
    y: float
    w: float
    h: float
    span: Span
    low: float
    high: float

    def at(self, when: float, value: float) -> tuple[float, float]:
        """Return where a point lies."""
        along = (when - self.span.start) / (self.span.end - self.span.start)
        up = (value - self.low) / (self.high - self.low)
        return self.x + along * self.w, self.y + (1 - up) * self.h


def draw_lines(
    canvas: Canvas,
    panel: Mapping[str, Any],
    series: Sequence[Series],
    place: tuple[float, float, float, float],
    span: Span,
) -> None:
    """Draw the panel's series into a place: x, y, width and height inside its frame."""
    x, y, w, h = place
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal"
    steps = [step for step in defaults["thresholds"]["steps"] if step.get("value") is not None]
    drawn = _stacked(series) if stacked else list(series)
    ticks = _ticks(_top(drawn, [step["value"] for step in steps]), defaults["unit"])
    labels = [shown(tick, defaults["unit"], span.end) for tick in ticks]
    left = max(width_of(label, 11) for label in labels) + 10
    rows = _legend_rows(series, w)
    frame = Frame(x + left, y + 4, w - left - 6, h - 24 - 18 * len(rows), span, ticks[0], ticks[-1])
    _axes(canvas, frame, ticks, labels)
    opacity = 0.35 if stacked else 0.08 if len(drawn) <= _FILLED else 0.0
    for index, each in reversed(list(enumerate(drawn))):
        below = drawn[index - 1] if stacked and index else None
        _line(canvas, frame, each, below, opacity)
    for step in steps:
        if step["value"] <= ticks[-1]:
            _, at = frame.at(span.start, step["value"])
            canvas.line((frame.x, at), (frame.x + frame.w, at), COLOURS[step["color"]], "6 4")
    _legend(canvas, rows, x, y + h - 18 * len(rows) + 8)


def _top(series: Sequence[Series], steps: Sequence[float]) -> float:
    top = max((value for each in series for _, value in each.points), default=0.0)
    return max([top, *(step for step in steps if step <= top * _NEAR)]) or 1.0


def _ticks(top: float, unit: str) -> list[float]:
    """Return 3 to 6 round numbers of the unit, from nought to the first one not below `top`."""
    base = next((base for base in _BASES.get(unit, ()) if top >= base), 1)
    rough = top / base / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough) * base
    return [step * index for index in range(math.ceil(top / step - 1e-9) + 1)]


def _axes(canvas: Canvas, frame: Frame, ticks: Sequence[float], labels: Sequence[str]) -> None:
    for tick, label in zip(ticks, labels, strict=True):
        _, at = frame.at(frame.span.start, tick)
        canvas.line((frame.x, at), (frame.x + frame.w, at), GRID)
        canvas.text(frame.x - 6, at + 4, label, size=11, fill=FAINT, anchor="end")
    count = max(2, int(frame.w // 90))
    for index in range(count):
        when = frame.span.start + (index + 0.5) * (frame.span.end - frame.span.start) / count
        at, _ = frame.at(when, frame.low)
        canvas.line((at, frame.y), (at, frame.y + frame.h), GRID)
        canvas.text(at, frame.y + frame.h + 15, clock(when), size=11, fill=FAINT, anchor="middle")


def _line(
    canvas: Canvas, frame: Frame, series: Series, below: Series | None, opacity: float
) -> None:
    floor = dict(below.points) if below is not None else {}
    for run in _runs(series.points):
        points = [frame.at(when, value) for when, value in _bends(run)]
        if opacity and not series.dashed:
            ground = [(when, floor.get(when, 0.0)) for when, _ in run]
            base = [frame.at(when, value) for when, value in reversed(_bends(ground))]
            canvas.area([*points, *base], series.colour, opacity)
        path = points if len(points) > 1 else [*points, *points]
        canvas.path(path, series.colour, dash="9 6" if series.dashed else "")


def _bends(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out what lies on a level line between its neighbours: nobody sees it."""
    kept = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [points[0], *kept, points[-1]]


def _runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Split points where some are missing."""
    runs = [[points[0]]]
    for before, after in pairwise(points):
        if after[0] - before[0] > _GAP_SECONDS:
            runs.append([])
        runs[-1].append(after)
    return runs


def _stacked(series: Sequence[Series]) -> list[Series]:
    """Put each series on those before it; one without a value at some time adds nothing there."""
    times = sorted({when for each in series for when, _ in each.points})
    total = dict.fromkeys(times, 0.0)
    stacked = []
    for each in series:
        values = dict(each.points)
        total = {when: height + values.get(when, 0.0) for when, height in total.items()}
        stacked.append(Series(each.name, each.colour, list(total.items())))
    return stacked


def _legend_rows(series: Sequence[Series], width: float) -> list[list[tuple[Series, float]]]:
    """Break the legend into rows; what does not fit into them is left out."""
    rows: list[list[tuple[Series, float]]] = [[]]
    used = 0.0
    for each in series:
        needs = width_of(each.name, 11) + 34
        if used + needs > width and rows[-1]:
            if len(rows) == _LEGEND_ROWS:
                break
            rows.append([])
            used = 0.0
        rows[-1].append((each, used))
        used += needs
    return rows


def _legend(
    canvas: Canvas, rows: Sequence[Sequence[tuple[Series, float]]], x: float, y: float
) -> None:
    for index, row in enumerate(rows):
        for series, offset in row:
            at = y + 18 * index
            canvas.box(x + offset, at - 1, 14, 3, series.colour, rx="1.5")
            canvas.text(x + offset + 20, at + 4, cut(series.name, 400, 11), size=11)
