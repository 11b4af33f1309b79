"""The dashboards: the committed files are what the code makes, and every panel explains itself."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from sidecar.telemetry.catalogue import METRICS, PREFIX, Kind, Metric
from tests.kubernetes.observability.expressions import (
    DASHBOARDS,
    dashboards,
    panel_queries,
    panels,
    rules,
)
from tools.dashboards.build import dashboards as built

ALL: Final = sorted(dashboards().items())
PANELS: Final = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in ALL
    for panel in panels(dashboard)
]
UIDS: Final = {dashboard["uid"] for _, dashboard in ALL}


@pytest.mark.parametrize("name", sorted(built()))
def test_a_file_is_what_the_code_makes(name: str) -> None:
    """Change tools/dashboards and run `make dashboards`; the JSON is not edited by hand."""
    assert (DASHBOARDS / name).read_text(encoding="utf-8") == built()[name]


def test_no_file_is_left_over() -> None:
    """The chart takes every JSON in the folder."""
    assert {path.name for path in DASHBOARDS.iterdir()} == set(built())


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_what_to_do(panel: dict[str, Any]) -> None:
    """Also what it means when it is red, or rises where nothing makes it red."""
    description = panel["description"]
    assert re.search(r"\bWhen\b", description)
    assert description.endswith(".")
    red = any(
        step["color"] == "red" for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    )
    if red and panel["type"] in {"stat", "bargauge"}:
        assert re.search(r"When red", description)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_a_unit_and_its_place(panel: dict[str, Any]) -> None:
    """A number without a unit is a riddle; a panel wider than the page is cut."""
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    defaults = panel["fieldConfig"]["defaults"]
    assert "unit" in defaults or panel["type"] == "table"
    assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}


@pytest.mark.parametrize(("name", "dashboard"), ALL, ids=lambda given: str(given)[:12])
def test_no_two_panels_lie_on_each_other(name: str, dashboard: dict[str, Any]) -> None:
    """Each square of the grid is one panel's, and each has a number of its own."""
    taken = [
        (column, row)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken)), name
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert 0 not in ids


@pytest.mark.parametrize(("name", "dashboard"), ALL, ids=lambda given: str(given)[:12])
def test_a_dashboard_has_its_variables(name: str, dashboard: dict[str, Any]) -> None:
    """Those that its queries use, with the data source first, and no other."""
    variables = [each["name"] for each in dashboard["templating"]["list"]]
    used = set(
        re.findall(r"\$(\w+)", " ".join(q.expr for q in panel_queries() if q.dashboard == name))
    )
    assert variables[:5] == ["datasource", "cluster", "namespace", "job", "pod"]
    assert set(variables) == (used - {"__rate_interval"}) | {"datasource"}


@pytest.mark.parametrize(("name", "dashboard"), ALL, ids=lambda given: str(given)[:12])
def test_a_dashboard_links_to_the_others(name: str, dashboard: dict[str, Any]) -> None:
    """With the time and the variables that are chosen."""
    links = dashboard["links"]
    assert {link["url"] for link in links} == {f"/d/{uid}" for uid in UIDS - {dashboard["uid"]}}
    assert all(link["includeVars"] and link["keepTime"] for link in links), name


def test_an_org_in_the_overview_leads_to_its_dashboard() -> None:
    """From the bar and from the row."""
    overview = dashboards()["overview"]
    text = str([panel["fieldConfig"] for panel in panels(overview)])
    assert len(re.findall(r"/d/bb-sidecar-org\?var-org=", text)) == 2


def test_descriptions_name_runbooks_that_exist() -> None:
    """Each is named after its alert."""
    text = " ".join(panel["description"] for _, board in ALL for panel in panels(board))
    assert set(re.findall(r"\bBbSidecar\w+", text)) <= {rule.get("alert") for rule in rules()}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_on_a_dashboard(metric: Metric) -> None:
    """What is counted and never looked at need not be counted."""
    name = PREFIX + metric.name + ("_bucket" if metric.kind is Kind.HISTOGRAM else "")
    assert any(re.search(rf"\b{name}\b", query.expr) for query in panel_queries())
