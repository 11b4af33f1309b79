"""What all dashboards share: their variables, the links between them, time and refresh."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models
from typing_extensions import override

from tools.dashboards.panels import SOURCE

OVERVIEW: Final = "bb-sidecar-overview"
ORG: Final = "bb-sidecar-org"
OPERATIONS: Final = "bb-sidecar-operations"
TITLES: Final = {
    OVERVIEW: "Bizbasics sidecar / Overview",
    ORG: "Bizbasics sidecar / Org",
    OPERATIONS: "Bizbasics sidecar / Operations",
}
"""The dashboards by their fixed uid, which bookmarks and the links between them go by."""

_CLUSTER: Final = 'cluster=~"$cluster"'
_SCOPE: Final = f'{_CLUSTER},namespace=~"$namespace",job=~"$job"'


class _Choice(builders.QueryVariable):
    """A variable of several values, where "All" also takes in what has no such label."""

    @override
    def build(self) -> models.VariableModel:
        variable = super().build()
        variable.all_value = ".*"
        return variable


def page(uid: str, description: str, *, time_from: str = "now-6h") -> builders.Dashboard:
    """Begin a dashboard with the variables and links that all have."""
    dashboard = (
        builders.Dashboard(TITLES[uid])
        .uid(uid)
        .description(description)
        .tags(["bizbasics", "bb-sidecar"])
        .timezone("browser")
        .time(time_from, "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )
    known = {
        "cluster": "",
        "namespace": f"{{{_CLUSTER}}}",
        "job": f'{{{_CLUSTER},namespace=~"$namespace"}}',
        "pod": f"{{{_SCOPE}}}",
    }
    for label, chosen in known.items():
        dashboard.with_variable(
            _choice(label, label.capitalize(), f"bb_sidecar_build_info{chosen}")
        )
    for other, title in TITLES.items():
        if other != uid:
            dashboard.link(
                builders.DashboardLink(title.rpartition("/")[2].strip())
                .type(models.DashboardLinkType.LINK)
                .icon("dashboard")
                .url(f"/d/{other}")
                .tooltip(f"The same pods in {title}")
                .include_vars(include_vars=True)
                .keep_time(keep_time=True)
            )
    return dashboard


def add_row(dashboard: builders.Dashboard, title: str, *panels: Builder[models.Panel]) -> None:
    """Add a row of panels."""
    dashboard.with_row(builders.Row(title))
    for panel in panels:
        dashboard.with_panel(panel)


def routes() -> builders.QueryVariable:
    """Return the variable of the policy's routes."""
    return _choice("route", "Route", f"bb_sidecar_requests_total{{{_SCOPE}}}")


def one_org() -> builders.QueryVariable:
    """Return the variable of the org to look at."""
    return (
        _variable("org", "Org", f"bb_sidecar_quota_limit_units{{{_SCOPE}}}")
        .multi(multi=False)
        .include_all(include_all=False)
    )


def to_org(value: str) -> builders.DashboardLink:
    """Return the link to an org's dashboard; `value` is Grafana's word for where its name is."""
    return builders.DashboardLink("Look at this org").url(
        f"/d/{ORG}?var-org={value}"
        "&${datasource:queryparam}&${cluster:queryparam}&${namespace:queryparam}&${job:queryparam}&${__url_time_range}"
    )


def _choice(name: str, label: str, series: str) -> builders.QueryVariable:
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return (
        _variable(name, label, series)
        .multi(multi=True)
        .include_all(include_all=True)
        .current(everything)
    )


def _variable(name: str, label: str, series: str) -> builders.QueryVariable:
    return (
        _Choice(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": f"label_values({series}, {name})", "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
