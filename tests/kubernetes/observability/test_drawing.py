"""The pictures of the dashboards: what is drawn, and that the committed ones are of these."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from tests.kubernetes.observability.expressions import dashboards, panels
from tests.kubernetes.observability.pictures import CHOSEN, FOLDER
from tools.dashboards.drawing.board import draw
from tools.dashboards.drawing.canvas import cut, width_of
from tools.dashboards.drawing.data import Answers, Span
from tools.dashboards.drawing.formats import shown

SPAN: Final = Span(1_760_000_000.0, 1_760_000_060.0)
ALL: Final = sorted(dashboards().items())


def answers(dashboard: dict[str, Any], value: float) -> Answers:
    """Two series for each query, one of them with a gap."""
    times = [SPAN.start + second for second in range(61)]
    whole = [(when, value) for when in times]
    torn = [(when, value / 2) for when in (*times[:20], *times[40:])]
    labels = {"org": "org_<acme>", "resource": "ai_calls", "pod": "notes-0", "version": "1"}
    return {
        (panel["id"], target["refId"]): [(labels, whole), ({**labels, "org": "b&b"}, torn)]
        for panel in panels(dashboard)
        for target in panel["targets"]
    }


@pytest.mark.parametrize(("name", "dashboard"), ALL, ids=lambda given: str(given)[:12])
@pytest.mark.parametrize("value", [0.0, 0.00004, 0.5, 2.0, 1e9])
def test_a_dashboard_becomes_a_drawing(name: str, dashboard: dict[str, Any], value: float) -> None:
    """Well-formed whatever the numbers and the names, and without a number that is none."""
    svg = draw(dashboard, answers(dashboard, value), SPAN, CHOSEN)
    assert ET.fromstring(svg).tag.endswith("svg"), name  # noqa: S314 - our own text
    assert not re.search(r"\b(nan|inf)\b", svg)


@pytest.mark.parametrize(("name", "dashboard"), ALL, ids=lambda given: str(given)[:12])
def test_a_dashboard_without_data_says_so(name: str, dashboard: dict[str, Any]) -> None:
    """An empty panel is not a fault of the drawing."""
    assert "No data" in draw(dashboard, {}, SPAN, CHOSEN), name


@pytest.mark.parametrize(("name", "dashboard"), ALL, ids=lambda given: str(given)[:12])
def test_the_committed_picture_shows_every_panel(name: str, dashboard: dict[str, Any]) -> None:
    """A panel that came later is missing from it: run `make dashboards-pictures`."""
    svg = unescape((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))
    missing = [panel["title"] for panel in panels(dashboard) if panel["description"] not in svg]
    assert missing == []
    assert "No data" not in svg


def test_no_picture_is_left_over() -> None:
    """Each is of a dashboard that there is."""
    assert {path.stem for path in FOLDER.glob("*.svg")} == {name for name, _ in ALL}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "short", "0"), (12.34, "short", "12.3"), (58_000.0, "short", "58 K"),
        (0.00004, "short", "4e-05"), (0.701, "percentunit", "70.1%"), (1.0, "percentunit", "100%"),
        (0.00025, "s", "250 µs"), (0.05, "s", "50 ms"), (43200.0, "s", "12 h"),
        (129600.0, "s", "1.5 d"), (90061.0, "dtdurations", "1 day, 1 hour"),
        (0.0, "dtdurations", "0 seconds"), (104857600.0, "bytes", "100 MiB"),
        (110.0, "reqps", "110 req/s"), (3.0, "cps", "3 c/s"),
        ((SPAN.end + 7200) * 1000, "dateTimeFromNow", "in 2 hours"),
        ((SPAN.end - 86400) * 1000, "dateTimeFromNow", "1 day ago"),
        ((SPAN.end + 1) * 1000, "dateTimeFromNow", "now"),
    ],
)  # fmt: skip
def test_a_value_is_written_with_its_unit(value: float, unit: str, text: str) -> None:
    """As Grafana writes it, nearly."""
    assert shown(value, unit, SPAN.end) == text


def test_an_unknown_unit_is_no_silent_number() -> None:
    """Whoever adds a panel hears of it."""
    with pytest.raises(ValueError, match="furlong"):
        shown(1.0, "furlong", SPAN.end)


def test_words_are_cut_to_their_room() -> None:
    """And end in an ellipsis then."""
    assert cut("short", 200, 12) == "short"
    assert width_of(cut("a name that is far too long", 80, 12), 12) <= 80
