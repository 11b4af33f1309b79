"""Org: what one customer has used, how fast, and when it runs out."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards import queries as q
from tools.dashboards.page import ORG, add_row, one_org, page
from tools.dashboards.panels import Column, Query, series_panel, stat_panel, table_panel

CHOSEN: Final = 'org="$org"'
STEPS: Final = [(0.8, "orange"), (1.0, "red")]
SOON: Final = [(86400.0, "orange"), (604800.0, "green")]


def org() -> Dashboard:
    """Build the dashboard."""
    dashboard = page(
        ORG,
        "One org: its use against its limits, its rate, and the day it runs out. Figures are what"
        " these pods last received from the platform, so they are as fresh as the org's last call.",
        time_from="now-7d",
    ).with_variable(one_org())
    for part in (_now, _use, _rate, _all):
        part(dashboard)
    return dashboard


def _now(dashboard: Dashboard) -> None:
    soonest = f"min({q.runs_out_at(CHOSEN)} < {q.reset(CHOSEN)})"
    add_row(
        dashboard,
        "$org now",
        stat_panel(
            "Used of the limit",
            "The resource that is nearest to its limit. When red: the org is at its limit and its"
            " calls get 429. Runbook: BbSidecarOrgAtLimit.",
            Query(f"max({q.used_share(CHOSEN)})"),
            unit="percentunit",
            steps=STEPS,
            width=6,
        ),
        stat_panel(
            "Left",
            "Units left of the resource that has fewest. When red: none are, and calls are"
            " refused until the reset or a larger plan.",
            Query(f"min({q.quota('remaining', CHOSEN, how='min')})"),
            steps=[(1, "green")],
            base="red",
            width=6,
        ),
        stat_panel(
            "Runs out",
            "When the first limit is used up if the org goes on as in the last 6 h, where that is"
            " before the reset. When red or orange: in less than a day, less than a week; offer it"
            " more. Runbook: BbSidecarOrgRunningOut.",
            Query(f"{soonest} - time()"),
            unit="dtdurations",
            steps=SOON,
            base="red",
            none="not before the reset",
            spark=False,
            width=6,
        ),
        stat_panel(
            "Reset in",
            "When the period ends and the limit is whole again. When this is later than Runs out:"
            " the org will be refused in between.",
            Query(f"min({q.reset(CHOSEN)}) - time()"),
            unit="dtdurations",
            spark=False,
            width=6,
        ),
    )


def _use(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Use and limit",
        series_panel(
            "Used, with its limit",
            "Units used in this period and the limit, by resource. When used meets the limit:"
            " calls are refused until the reset. A step down is the reset.",
            Query(f"max by (cluster, resource) ({q.quota('used', CHOSEN)})", "{{resource}} used"),
            Query(
                f"max by (cluster, resource) ({q.quota('limit', CHOSEN)})",
                "{{resource}} limit",
                "red",
                measure=True,
            ),
            width=16,
            height=10,
        ),
        series_panel(
            "Share of the limit",
            "Used over limit, by resource. When above the orange line: 80 %, time to talk to the"
            " org; above the red one it is refused.",
            Query(f"max by (cluster, resource) ({q.used_share(CHOSEN)})", "{{resource}}"),
            unit="percentunit",
            steps=STEPS,
            width=8,
            height=10,
        ),
    )


def _rate(dashboard: Dashboard) -> None:
    lasting = f"{q.quota('remaining', CHOSEN, how='min')} / ({q.reset(CHOSEN)} - time()) * 86400"
    add_row(
        dashboard,
        "Rate",
        series_panel(
            "Units a day",
            "The rate of use by the trend of 1 h and of 6 h, and the rate that would last until"
            " the reset. When the first two are above the third: the org runs out before.",
            Query(
                f"max by (cluster, resource) ({q.burn(CHOSEN, window='1h')} * 86400)",
                "{{resource}} 1 h",
            ),
            Query(f"max by (cluster, resource) ({q.burn(CHOSEN)} * 86400)", "{{resource}} 6 h"),
            Query(
                f"min by (cluster, resource) ({lasting})",
                "{{resource}} would last",
                "blue",
                measure=True,
            ),
            width=12,
        ),
        series_panel(
            "Time until it runs out",
            "How long what is left lasts at the rate of the last 6 h, and how long it has to."
            " When the first falls below the second: the org will be refused before the reset.",
            Query(
                f"min by (cluster, resource) ({q.runs_out_at(CHOSEN)} - time())",
                "{{resource}} lasts",
            ),
            Query(
                f"min by (cluster, resource) ({q.reset(CHOSEN)} - time())",
                "{{resource}} reset",
                "blue",
                measure=True,
            ),
            unit="s",
            width=12,
        ),
    )


def _all(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Every limit",
        table_panel(
            "Limits of the org",
            "Each limited resource with its figures as last received; unlimited ones are not here."
            " When Used is red: that resource is refused.",
            [
                Column("Used", q.used_share(CHOSEN), "percentunit", STEPS),
                Column("Units", q.quota("used", CHOSEN)),
                Column("Limit", q.quota("limit", CHOSEN)),
                Column("Left", q.quota("remaining", CHOSEN, how="min")),
                Column("A day", f"{q.burn(CHOSEN)} * 86400"),
                Column("Reset", f"{q.reset(CHOSEN)} * 1000", "dateTimeFromNow"),
            ],
            keys={"org": "Org", "resource": "Resource", "cluster": "Cluster"},
            sort="Used",
            width=24,
            height=7,
        ),
    )
