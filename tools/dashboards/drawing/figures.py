"""Panels of single values: a number, bars, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tools.dashboards.drawing.canvas import BORDER, FAINT, TEXT, TRACK, Canvas, cut, width_of
from tools.dashboards.drawing.data import FRESH_SECONDS, Answers, Series, Span, colour_at
from tools.dashboards.drawing.formats import shown

Place = tuple[float, float, float, float]
_ROW: Final = 30.0


def draw_stat(
    canvas: Canvas, panel: Mapping[str, Any], series: Sequence[Series], place: Place, span: Span
) -> None:
    """Draw one number, in the colour of its threshold, over a faint line of its past."""
    x, y, w, h = place
    defaults = panel["fieldConfig"]["defaults"]
    value = series[0].last(span) if series else None
    if value is None:
        none = defaults.get("noValue", "No data")
        canvas.text(x + w / 2, y + h / 2 + 8, none, size=22, fill=FAINT, anchor="middle")
        return
    colour = colour_at(value, defaults["thresholds"])
    words = shown(value, defaults["unit"], span.end)
    for mapping in defaults.get("mappings", ()):
        found = mapping["options"].get(f"{value:g}")
        if found:
            words = found["text"]
    if panel["options"]["graphMode"] == "area":
        _spark(canvas, series[0], colour, place, span)
    size = min(38.0, h * 0.5, 38.0 * (w - 16) / max(width_of(words, 38), 1))
    canvas.text(
        x + w / 2, y + h / 2 + size * 0.08, words, size=size, fill=colour, anchor="middle",
        weight="500",
    )  # fmt: skip


def _spark(canvas: Canvas, series: Series, colour: str, place: Place, span: Span) -> None:
    x, y, w, h = place
    top = max(value for _, value in series.points) or 1.0
    foot, tall = y + h + 6, h * 0.34
    points = [
        (
            x - 8 + (when - span.start) / (span.end - span.start) * (w + 16),
            foot - max(value, 0) / top * tall,
        )
        for when, value in series.points
    ]
    canvas.area([*points, (points[-1][0], foot), (points[0][0], foot)], colour, 0.12)
    canvas.path(points if len(points) > 1 else [*points, *points], colour, 1)


def draw_bars(
    canvas: Canvas, panel: Mapping[str, Any], series: Sequence[Series], place: Place, span: Span
) -> None:
    """Draw a bar for each series that still has a value, the largest first."""
    x, y, w, h = place
    defaults = panel["fieldConfig"]["defaults"]
    now = [(each, value) for each in series if (value := each.last(span)) is not None]
    now.sort(key=lambda pair: -pair[1])
    if not now:
        canvas.text(x + w / 2, y + h / 2, "No data", size=16, fill=FAINT, anchor="middle")
        return
    label = max(width_of(each.name, 12) for each, _ in now) + 14
    pitch = min(36.0, h / len(now))
    bar = w - label - 76
    for index, (each, value) in enumerate(now):
        top = y + index * pitch + 3
        colour = colour_at(value, defaults["thresholds"])
        share = min(1.0, value / defaults["max"])
        canvas.text(x + label - 12, top + pitch / 2 + 1, each.name, size=12, anchor="end")
        canvas.box(x + label, top, bar, pitch - 8, TRACK, rx="2")
        canvas.box(x + label, top, bar * share, pitch - 8, colour, rx="2", fill_opacity="0.75")
        words = shown(value, defaults["unit"], span.end)
        canvas.text(
            x + w - 4, top + pitch / 2 + 2, words, size=14, fill=colour, anchor="end", weight="500"
        )


def draw_table(
    canvas: Canvas, panel: Mapping[str, Any], answers: Answers, place: Place, span: Span
) -> None:
    """Draw a row for each set of labels, as `merge` and `organize` make them."""
    x, y, w, h = place
    titles = _titles(panel)
    fields = _fields(panel)
    rows = _rows(panel, answers, span)
    sort = panel["options"]["sortBy"][0]
    sort_by = next(name for name, title in titles.items() if title == sort["displayName"])
    rows.sort(key=lambda row: row.get(sort_by) or 0.0, reverse=sort["desc"])
    widths = [_share(name, fields.get(title, {})) for name, title in titles.items()]
    column = [w * sum(widths[:index]) / sum(widths) for index in range(len(widths) + 1)]
    for index, title in enumerate(titles.values()):
        canvas.text(x + column[index] + 8, y + 18, title, size=12, fill="#6E9FFF", weight="500")
    canvas.line((x, y + 27), (x + w, y + 27), BORDER)
    for number, row in enumerate(rows[: int((h - _ROW) // _ROW)]):
        base = y + _ROW * (number + 1) + 19
        for index, (name, title) in enumerate(titles.items()):
            words, colour = _cell(row.get(name), fields.get(title, {}), span)
            room = column[index + 1] - column[index] - 12
            canvas.text(x + column[index] + 8, base, cut(words, room, 12.5), size=12.5, fill=colour)
        canvas.line((x, base + 10), (x + w, base + 10), BORDER)
    if not rows:
        canvas.text(x + w / 2, y + h / 2, "No data", size=16, fill=FAINT, anchor="middle")


def _cell(value: str | float | None, field: Mapping[str, Any], span: Span) -> tuple[str, str]:
    if value is None:
        return "", TEXT
    if isinstance(value, str):
        return value, TEXT
    colour = colour_at(value, field["thresholds"]) if "thresholds" in field else TEXT
    return shown(value, field["unit"], span.end), colour


def _rows(panel: Mapping[str, Any], answers: Answers, span: Span) -> list[dict[str, str | float]]:
    titles = _titles(panel)
    keys = [name for name in titles if not name.startswith("Value")]
    alone = len(panel["targets"]) == 1
    rows: dict[tuple[str, ...], dict[str, str | float]] = {}
    for target in panel["targets"]:
        name = "Value" if alone else f"Value #{target['refId']}"
        for labels, points in answers.get((panel["id"], target["refId"]), ()):
            when, value = points[-1]
            if span.end - when <= FRESH_SECONDS:
                row = rows.setdefault(tuple(labels.get(key, "") for key in keys), {})
                row |= {key: labels.get(key, "") for key in keys}
                row[name] = value
    return list(rows.values())


def _titles(panel: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns in their order: the field's name, and its title."""
    options = panel["transformations"][1]["options"]
    names = sorted(options["indexByName"], key=options["indexByName"].__getitem__)
    return {name: options["renameByName"][name] for name in names}


def _share(name: str, field: Mapping[str, Any]) -> float:
    """Say how wide a column is against the others."""
    if name == "hash":
        return 6.0
    return 2.0 if not name.startswith("Value") or field["unit"] == "dateTimeFromNow" else 1.2


def _fields(panel: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what overrides say of each column, by its title."""
    return {
        override["matcher"]["options"]: {
            each["id"]: each["value"] for each in override["properties"]
        }
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byName"
    }
