"""SVG, written as text: a few shapes, all that is needed."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

PAGE: Final = "#111217"
PANEL: Final = "#181B1F"
BORDER: Final = "#2A2D33"
GRID: Final = "#26292F"
TEXT: Final = "#CCCCDC"
FAINT: Final = "#8E8E99"
TRACK: Final = "#22252B"

_FONT: Final = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_WIDE: Final = frozenset("mwMW@%ABCDGHNOQRUVXYZ&")
_NARROW: Final = frozenset("iljtfrI.,:;|'!()[] /")


class Canvas:
    """Shapes in the order they are drawn. Lengths in pixels, from the top left."""

    def __init__(self) -> None:
        self._shapes: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, fill: str, **more: str) -> None:
        """Draw a rectangle; `title` is what a browser shows when it is pointed at."""
        title = more.pop("title", "")
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        inside = f"<title>{escape(title)}</title></rect>" if title else "</rect>"
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}"'
            f' fill="{fill}"{attributes}>{inside}'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        fill: str = TEXT,
        anchor: str = "start",
        weight: str = "normal",
    ) -> None:
        """Write on a baseline; `anchor` is start, middle or end."""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}"'
            f' text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
        )

    def line(
        self, start: tuple[float, float], end: tuple[float, float], stroke: str, dash: str = ""
    ) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._shapes.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            f' stroke="{stroke}"{dashed}/>'
        )

    def path(
        self,
        points: Iterable[tuple[float, float]],
        stroke: str,
        width: float = 1.5,
        dash: str = "",
    ) -> None:
        """Draw a line through points."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._shapes.append(
            f'<polyline points="{_pairs(points)}" fill="none" stroke="{stroke}"'
            f' stroke-width="{width:g}" stroke-linejoin="round"{dashed}/>'
        )

    def area(self, points: Iterable[tuple[float, float]], fill: str, opacity: float) -> None:
        """Fill what points go around."""
        self._shapes.append(
            f'<polygon points="{_pairs(points)}" fill="{fill}" fill-opacity="{opacity:g}"/>'
        )

    def svg(self, width: float, height: float, title: str) -> str:
        """Return the whole document."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
            f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}">\n'
            f"<title>{escape(title)}</title>\n" + "\n".join(self._shapes) + "\n</svg>\n"
        )


def width_of(words: str, size: float) -> float:
    """Estimate how wide words are: enough to place and to cut them."""
    units = sum(0.8 if c in _WIDE else 0.36 if c in _NARROW else 0.62 for c in words)
    return units * size


def cut(words: str, width: float, size: float) -> str:
    """Return the words, with an ellipsis where they do not fit."""
    if width_of(words, size) <= width:
        return words
    while words and width_of(f"{words}…", size) > width:
        words = words[:-1]
    return f"{words}…"


def _pairs(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)


def _short(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")
