"""The row of calls that are charged by the usage that their answers name."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards import queries as q
from tools.dashboards.page import add_row
from tools.dashboards.panels import Query, series_panel

ROUTE: Final = 'route=~"$route"'
SETTLED: Final = "on (cluster, namespace, job, route)"
DEPOSITS: Final = (
    f"sum by (cluster) ({q.rate('units_total', ROUTE, by='namespace, job, route')} and {SETTLED}"
    f" ({q.metric('usage_tokens_total', ROUTE)} or {q.metric('usage_missing_total', ROUTE)}))"
)
"""Units of admitted calls, on routes of which some answer has been read for usage."""


def charged_by_usage(dashboard: Dashboard) -> None:
    """Add the row; it is empty where no route has `usage`."""
    add_row(
        dashboard,
        "Charged by usage",
        series_panel(
            "Tokens by route and kind",
            "Tokens each second that answers named; none is counted twice. When one kind of a route"
            " falls to 0 while its requests go on: its answers name it no more, see Answers"
            " without usage.",
            Query(q.rate("usage_tokens_total", ROUTE, by="route, kind"), "{{route}} {{kind}}"),
            unit="cps",
        ),
        series_panel(
            "Deposits and settlements",
            "Units each second: the deposits of these routes, and by outcome what lay between them"
            " and the costs. When counted is far above the deposits: most of a cost is consumed"
            " after the answer; raise amount. When returned is: lower it.",
            Query(DEPOSITS, "deposits", measure=True),
            Query(q.rate("settled_units_total", ROUTE, by="outcome"), "{{outcome}}"),
            unit="cps",
        ),
        series_panel(
            "Answers without usage",
            "Answers charged by the policy's missing, by cause. When absent rises: set"
            " request_usage, or correct format. cut: clients leave, or the product breaks off; see"
            " Errors of the product. Runbook: BbSidecarUsageMissing.",
            Query(q.rate("usage_missing_total", ROUTE, by="cause"), "{{cause}}"),
            unit="cps",
        ),
        series_panel(
            "Overrun",
            "Units each second that a cost was beyond the quota: overrun where the org is blocked,"
            " forgiven where it is not, dropped where they were given up. When overrun rises: hold"
            " is missing or too small. Runbook: BbSidecarOverrun.",
            Query(
                q.rate(
                    "settled_units_total",
                    ROUTE,
                    'outcome=~"overrun|forgiven|dropped"',
                    by="resource, outcome",
                ),
                "{{resource}} {{outcome}}",
            ),
            unit="cps",
            width=12,
        ),
        series_panel(
            "Held units",
            "What calls under way may still cost, and what is owed and not counted yet. When it"
            " stays above 0 without calls in flight: the platform does not answer, see Breaker."
            " When it is large and calls are over_quota: lower the hold's default.",
            Query(f"sum by (cluster, resource) ({q.metric('held_units')})", "{{resource}}"),
            width=12,
        ),
    )
