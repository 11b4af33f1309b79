"""A whole dashboard: its head, its rows and its panels on Grafana's grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tools.dashboards.drawing.canvas import BORDER, FAINT, PAGE, PANEL, TEXT, Canvas, cut, width_of
from tools.dashboards.drawing.data import Answers, Span, series_of
from tools.dashboards.drawing.figures import draw_bars, draw_stat, draw_table
from tools.dashboards.drawing.formats import clock
from tools.dashboards.drawing.lines import draw_lines

_WIDTH: Final = 1400
_MARGIN: Final = 16
_HEAD: Final = 92
_CELL: Final = 38  # of Grafana's own grid: 30 and a gap of 8
_GAP: Final = 8


def draw(
    dashboard: Mapping[str, Any], answers: Answers, span: Span, chosen: Mapping[str, str]
) -> str:
    """Return the SVG of a dashboard; `chosen` is what its variables are set to."""
    canvas = Canvas()
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    height = _HEAD + bottom * _CELL + _MARGIN
    canvas.box(0, 0, _WIDTH, height, PAGE)
    _head(canvas, dashboard, span, chosen)
    for panel in dashboard["panels"]:
        x, y, w, h = _place(panel["gridPos"])
        title = _filled(panel["title"], chosen)
        if panel["type"] == "row":
            canvas.text(x + 4, y + 20, f"▾  {title}", size=14, weight="500")
            continue
        canvas.box(
            x, y, w, h, PANEL, stroke=BORDER, rx="3", title=f"{title}: {panel['description']}"
        )
        canvas.text(x + 10, y + 21, cut(title, w - 20, 13), size=13, weight="500")
        _draw_panel(canvas, panel, answers, (x + 10, y + 32, w - 20, h - 40), span)
    return canvas.svg(_WIDTH, height, dashboard["title"])


def _draw_panel(
    canvas: Canvas,
    panel: Mapping[str, Any],
    answers: Answers,
    place: tuple[float, float, float, float],
    span: Span,
) -> None:
    match panel["type"]:
        case "stat":
            draw_stat(canvas, panel, series_of(panel, answers), place, span)
        case "timeseries":
            draw_lines(canvas, panel, series_of(panel, answers), place, span)
        case "bargauge":
            draw_bars(canvas, panel, series_of(panel, answers), place, span)
        case "table":
            draw_table(canvas, panel, answers, place, span)
        case kind:
            raise ValueError(f"panel {panel['title']!r} is a {kind}: teach board to draw it")


def _head(
    canvas: Canvas, dashboard: Mapping[str, Any], span: Span, chosen: Mapping[str, str]
) -> None:
    canvas.text(_MARGIN + 4, 34, dashboard["title"], size=19, weight="500")
    when = f"{clock(span.start)} to {clock(span.end)} UTC"
    canvas.text(_WIDTH - _MARGIN - 4, 34, when, size=13, fill=FAINT, anchor="end")
    x = float(_MARGIN)
    for variable in dashboard["templating"]["list"]:
        label, value = variable["label"], chosen[variable["name"]]
        wide = width_of(label, 12) + 16
        canvas.box(x, 50, wide, 28, "#22252B", rx="2")
        canvas.text(x + 8, 68, label, size=12, fill=TEXT, weight="500")
        canvas.box(x + wide, 50, width_of(value, 12) + 18, 28, PAGE, stroke=BORDER, rx="2")
        canvas.text(x + wide + 9, 68, value, size=12)
        x += wide + width_of(value, 12) + 30
    x = _WIDTH - _MARGIN - 4.0
    for link in reversed(dashboard["links"]):
        canvas.text(x, 68, f"▤ {link['title']}", size=12, fill="#6E9FFF", anchor="end")
        x -= width_of(link["title"], 12) + 40


def _place(grid: Mapping[str, int]) -> tuple[float, float, float, float]:
    column = (_WIDTH - 2 * _MARGIN + _GAP) / 24
    return (
        _MARGIN + grid["x"] * column,
        _HEAD + grid["y"] * _CELL,
        grid["w"] * column - _GAP,
        grid["h"] * _CELL - _GAP,
    )


def _filled(title: str, chosen: Mapping[str, str]) -> str:
    for name, value in chosen.items():
        title = title.replace(f"${name}", value)
    return title
