"""Draw docs/dashboards/*.png from the day in day.py: `make dashboards-pictures`.

A picture shows the panels of a dashboard that its page speaks of, with the dashboard's own titles,
expressions, legends and thresholds.
"""

from __future__ import annotations

import io
import logging
import math
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from PIL import Image

from tests.kubernetes.observability.day import BEGIN, END, STEP, day
from tests.kubernetes.observability.drawn import FOLDER, LARGEST, PICTURES, Picture
from tests.kubernetes.observability.expressions import VARIABLES, dashboards, panels
from tests.kubernetes.observability.servers import Prometheus

CHOSEN: Final = {
    **VARIABLES,
    "$pod": ".*",
    "$__rate_interval": "8m",  # four scrapes, as Grafana makes it
}
COLORS: Final = {"green": "#2f8f4e", "orange": "#d98200", "red": "#c4302b", "blue": "#3b6fd4"}
CYCLE: Final = ["#2f8f4e", "#3b6fd4", "#d98200", "#8a4fbf", "#c4302b", "#0f8b8d", "#7a7a7a"]
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
INK, DIM, LINE = "#1d2330", "#5b6472", "#dfe3ea"


async def _pictures() -> dict[str, bytes]:
    boards = dashboards()
    chosen = {
        name: [p for p in panels(boards[name]) if p["title"] in (*each.numbers, *each.charts)]
        for name, each in PICTURES.items()
    }
    asked = str(
        [target["expr"] for each in chosen.values() for p in each for target in p["targets"]]
    )
    async with day(frozenset(re.findall(r"\bbb_sidecar_\w+", asked))) as prometheus:
        return {
            name: await _picture(prometheus, PICTURES[name], {p["title"]: p for p in each})
            for name, each in chosen.items()
        }


async def _picture(asked: Prometheus, wanted: Picture, by_title: dict[str, Any]) -> bytes:
    rows = len(wanted.charts) // 3
    heights = [*([0.9] if wanted.numbers else []), 2.7 * rows]
    figure = Figure(figsize=(12.8, sum(heights)), layout="constrained")
    *above, below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part in above:
        places = part.subplots(1, len(wanted.numbers))
        for place, title in zip(places, wanted.numbers, strict=True):
            panel = by_title[title]
            _number(place, panel, await asked.at(_chosen(panel["targets"][0]["expr"]), END))
    places = below.subplots(rows, 3).flat
    for place, title in zip(places, wanted.charts, strict=True):
        await _chart(place, by_title[title], asked)
    return _png(figure)


async def _chart(place: Axes, panel: dict[str, Any], asked: Prometheus) -> None:
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    _title(place, panel)
    if panel["type"] == "bargauge":
        found = await asked.at(_chosen(panel["targets"][0]["expr"]), END)
        _bars(place, panel, sorted(found, key=lambda each: each[1]))
        return
    highest = 0.0
    for target in panel["targets"]:
        series = await asked.over(_chosen(target["expr"]), BEGIN + STEP, END, STEP)
        measure = target["legendFormat"].endswith(("limit", "would last", "reset"))
        for labels, points in series:
            highest = max([highest, *(value for _, value in points)])
            place.plot(
                *_with_gaps(points),
                label=_legend(target["legendFormat"], labels),
                linewidth=1.3,
                linestyle="--" if measure else "-",
            )
    place.set_ylim(0, highest * 1.3 or 1)
    if unit == "s" and highest > DAY:
        place.yaxis.set_major_locator(MultipleLocator(5 * DAY))
    place.set_xlim(BEGIN, END)
    place.xaxis.set_major_locator(MultipleLocator(2 * HOUR))
    place.xaxis.set_major_formatter(
        FuncFormatter(lambda when, _: f"{datetime.fromtimestamp(when, UTC):%H:%M}")
    )
    place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    place.legend(loc="upper left", ncols=3, fontsize=6.5, frameon=False, handlelength=1.2)


def _with_gaps(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return times and values, with NaN where a step is missing, so that no line bridges it."""
    found = dict(points)
    steps = [points[0][0] + STEP * step for step in range(int((END - points[0][0]) / STEP) + 1)]
    return steps, [found.get(each, math.nan) for each in steps]


def _number(place: Axes, panel: dict[str, Any], found: list[tuple[dict[str, str], float]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    place.set_axis_off()
    text, color = defaults.get("noValue", "no data"), DIM
    if found:
        value = found[0][1]
        text, color = shown(value, defaults["unit"]), _color(value, defaults)
        for mapping in defaults.get("mappings", []):
            text = mapping["options"].get(f"{value:g}", {"text": text})["text"]
    place.text(0.5, 0.85, panel["title"], ha="center", fontsize=9, color=DIM)
    place.text(0.5, 0.2, text, ha="center", fontsize=19, weight="bold", color=color)


def _bars(place: Axes, panel: dict[str, Any], found: list[tuple[dict[str, str], float]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    legend = panel["targets"][0]["legendFormat"]
    names = [_legend(legend, labels) for labels, _ in found]
    values = [value for _, value in found]
    place.barh(names, [1.0] * len(values), color=LINE, height=0.5)
    colors = [_color(value, defaults) for value in values]
    bars = place.barh(names, values, color=colors, height=0.5)
    place.bar_label(
        bars, [shown(value, defaults["unit"]) for value in values], padding=4, fontsize=8
    )
    place.set_xlim(0, 1.2)
    place.set_xticks([])
    place.grid(visible=False)


def _title(place: Axes, panel: dict[str, Any]) -> None:
    place.set_title(panel["title"], loc="left", fontsize=9.5, weight="bold", color=INK)
    place.set_prop_cycle(color=CYCLE)
    place.grid(color=LINE, linewidth=0.6)
    place.set_axisbelow(True)
    place.tick_params(labelsize=7.5, colors=DIM, length=0)
    for side in place.spines.values():
        side.set_visible(False)


def _chosen(expr: str) -> str:
    for name, value in sorted(CHOSEN.items(), reverse=True):
        expr = expr.replace(name, value)
    return expr


def _legend(form: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form)


def _color(value: float, defaults: dict[str, Any]) -> str:
    steps = defaults["thresholds"]["steps"]
    reached = [each for each in steps if each["value"] is None or value >= each["value"]]
    return COLORS[reached[-1]["color"]]


def shown(value: float, unit: str) -> str:
    """Write a value with its unit, nearly as Grafana writes it. Raises KeyError for a new unit."""
    if unit in ("s", "dtdurations"):
        return next(_durations(value))
    if unit == "percentunit":
        return f"{value:.0%}" if value == 0 or value > 0.1 else f"{value:.1%}"
    suffix = {"short": "", "reqps": "/s", "cps": "/s"}[unit]
    for size, letter in ((1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}{suffix}"
    return f"{value:.3g}{suffix}"


def _durations(seconds: float) -> Iterator[str]:
    for size, name in ((DAY, "d"), (HOUR, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if abs(seconds) >= size:
            yield f"{seconds / size:.3g} {name}"
    yield f"{seconds * 1e6:.0f} µs" if seconds else "0"


def _png(figure: Figure) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    Image.open(drawn).convert("RGB").quantize(48).save(small, format="png", optimize=True)
    return small.getvalue()


def main() -> None:
    """Write every picture."""
    logging.disable(logging.CRITICAL)  # the day has faults on purpose
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, png in uvloop.run(_pictures()).items():
        file: Path = FOLDER / f"{name}.png"
        if len(png) > LARGEST:
            raise ValueError(f"{file} would have {len(png)} bytes; the most is {LARGEST}")
        file.write_bytes(png)
        sys.stdout.write(f"{file}: {len(png)} bytes\n")


if __name__ == "__main__":
    main()
