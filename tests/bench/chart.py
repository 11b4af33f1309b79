"""Charts as SVG: bars for throughput, lines for latency over offered load. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

_OURS: Final = "#0369a1"
_OTHERS: Final = "#94a3b8"
_TEXT: Final = "#1e293b"
_LINES: Final = ("#0369a1", "#b45309", "#64748b", "#15803d", "#7e22ce", "#be123c")


def bars(title: str, rows: Sequence[tuple[str, float, bool]], unit: str) -> str:
    """Draw one bar a row: label, value, and whether it is ours."""
    width, left, height = 760, 230, 30
    top = 48
    most = max((value for _, value, _ in rows), default=1.0) or 1.0
    parts = [_open(width, top + height * len(rows) + 16), _heading(title)]
    for index, (label, value, ours) in enumerate(rows):
        y = top + index * height
        length = (width - left - 110) * value / most
        colour = _OURS if ours else _OTHERS
        parts.append(
            f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{left}" y="{y + 3}" width="{length:.1f}" height="20" fill="{colour}"/>'
            f'<text x="{left + length + 6:.1f}" y="{y + 17}">{value:,.0f} {escape(unit)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def lines(
    title: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]], across: str, up: str
) -> str:
    """Draw one line a series of (x, y): x from 0, y above 0, by decades."""
    width, height, left, bottom, top = 820, 360, 64, 52, 48
    right = max((x for _, points in series for x, _ in points), default=1.0) or 1.0
    decades = [log10(y) for _, points in series for _, y in points] or [0.0]
    least, most = floor(min(decades)), max(ceil(max(decades)), floor(min(decades)) + 1)

    def at(x: float, y: float) -> str:
        share = (log10(y) - least) / (most - least)
        return (
            f"{left + (width - left - 250) * x / right:.1f},"
            f"{height - bottom - (height - bottom - top) * share:.1f}"
        )

    parts = [_open(width, height), _heading(title)]
    for decade in range(least, most + 1):
        level = 10.0**decade
        start, line = at(0, level).split(",")
        end = at(right, level).split(",")[0]
        parts.append(
            f'<line x1="{start}" y1="{line}" x2="{end}" y2="{line}" stroke="#e2e8f0"/>'
            f'<text x="{left - 8}" y="{float(line) + 4:.1f}" text-anchor="end">{level:g}</text>'
        )
    for index, (label, points) in enumerate(series):
        colour = _LINES[index % len(_LINES)]
        path = " ".join(at(x, y) for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<rect x="{width - 236}" y="{top + index * 22}" width="12" height="12"'
            f' fill="{colour}"/>'
            f'<text x="{width - 218}" y="{top + 11 + index * 22}">{escape(label)}</text>'
        )
        for x, y in points:
            cx, cy = at(x, y).split(",")
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>')
            if index == 0:
                parts.append(
                    f'<text x="{cx}" y="{height - bottom + 18}" text-anchor="middle">{x:g}</text>'
                )
    middle = left + (width - left - 250) / 2
    parts.append(
        f'<text x="{middle}" y="{height - 12}" text-anchor="middle">{escape(across)}</text>'
    )
    parts.append(f'<text x="8" y="{top - 10}">{escape(up)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _open(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' font-family="system-ui, sans-serif" font-size="13" fill="{_TEXT}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    )


def _heading(title: str) -> str:
    return f'<text x="8" y="22" font-size="15" font-weight="600">{escape(title)}</text>'
