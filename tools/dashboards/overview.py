"""Overview: refusals, unconfirmed calls, delays, unreported usage, and orgs near a limit."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards import queries as q
from tools.dashboards.page import OVERVIEW, add_row, page, routes, to_org
from tools.dashboards.panels import (
    Column,
    Query,
    bars_panel,
    series_panel,
    stat_panel,
    table_panel,
)

ROUTE: Final = 'route=~"$route"'
ALL: Final = q.rate("requests_total", ROUTE)
DENIED: Final = q.rate("requests_total", ROUTE, 'verdict="deny"')
TRUSTED: Final = q.rate("units_total", ROUTE, 'reason=~"fail_open|last_known"')
UNITS: Final = q.rate("units_total", ROUTE)

BREAKER: Final = {"0": ("closed", "green"), "1": ("half open", "orange"), "2": ("open", "red")}


def overview() -> Dashboard:
    """Build the dashboard."""
    dashboard = page(
        OVERVIEW,
        "Start here: what callers meet, which orgs are near their limit, and what is not settled"
        " with the platform yet.",
    ).with_variable(routes())
    for part in (_now, _customers, _verdicts, _time, _owed):
        part(dashboard)
    return dashboard


def _now(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Now",
        stat_panel(
            "Requests",
            "Answers given each second, the product's and ours. When it falls to 0: no client"
            " calls, or callers do not reach the pods: look at the Service and at readiness.",
            Query(ALL),
            unit="reqps",
        ),
        stat_panel(
            "Denied",
            "Share of requests that were refused. When red: find the reason in Denied by reason;"
            " over_quota is for sales, unauthenticated for the auth host,"
            " fail_closed for the platform. Runbook: BbSidecarDenialSpike.",
            Query(q.share(DENIED, ALL)),
            unit="percentunit",
            steps=[(0.1, "orange"), (0.3, "red")],
        ),
        stat_panel(
            "Admitted unconfirmed",
            "Share of units admitted without an answer of the platform, by fail_open or"
            " last_known. When red: the platform does not answer; usage is written down and"
            " reported later. Runbook: BbSidecarFailingOpen.",
            Query(q.share(TRUSTED, UNITS)),
            unit="percentunit",
            steps=[(0.001, "orange"), (0.01, "red")],
        ),
        stat_panel(
            "Time we add, p99",
            "What 99 of 100 forwarded calls wait in the sidecar before the product is called,"
            " the platform's answer included. When red: compare with Platform's answer time."
            " Runbook: BbSidecarAddedLatency.",
            Query(q.quantile(0.99, "overhead_seconds", ROUTE)),
            unit="s",
            steps=[(0.025, "orange"), (0.05, "red")],
        ),
        stat_panel(
            "Platform breaker",
            "The worst state among the pods. When red: some pod asks the platform nothing and goes"
            " by policy alone. Runbook: BbSidecarBreakerOpen.",
            Query(f"max({q.metric('platform_breaker_state')})"),
            steps=[(1, "orange"), (2, "red")],
            texts=BREAKER,
        ),
        stat_panel(
            "Fail-open budget spent",
            "How much of its fail_open_budget the worst org has spent. When red: at 100 % that"
            " org's calls get 503. Runbook: BbSidecarFailOpenBudgetLow.",
            Query(f"max({q.metric('fail_open_budget_spent_ratio')})"),
            unit="percentunit",
            steps=[(0.5, "orange"), (0.8, "red")],
        ),
    )


def _customers(dashboard: Dashboard) -> None:
    running_out = f"{q.runs_out_at()} < {q.reset()}"
    add_row(
        dashboard,
        "Customers",
        bars_panel(
            "Nearest to their limit",
            "The ten orgs that have used most of a limit, of the most recent ones. When red: the"
            " org is at its limit and is refused; inform its account manager. Click a bar for the"
            " org. Runbook: BbSidecarOrgAtLimit.",
            Query(f"topk(10, {q.used_share()})", "{{org}} · {{resource}}"),
            unit="percentunit",
            steps=[(0.8, "orange"), (1, "red")],
            most=1,
            links=[to_org("${__field.labels.org}")],
        ),
        table_panel(
            "Running out before the reset",
            "Orgs that at their rate of the last 6 h use up a limit before it is reset, soonest"
            " first. Empty is good. When an org is here: offer it more before it is refused."
            " Runbook: BbSidecarOrgRunningOut.",
            [
                Column("Runs out", f"({running_out}) * 1000", "dateTimeFromNow"),
                Column(
                    "Used",
                    f"{q.used_share()} and ({running_out})",
                    "percentunit",
                    [(0.8, "orange"), (1, "red")],
                ),
                Column("Left", f"{q.quota('remaining', how='min')} and ({running_out})"),
                Column("A day", f"{q.burn()} * 86400 and ({running_out})"),
            ],
            keys={"org": "Org", "resource": "Resource", "cluster": "Cluster"},
            sort="Runs out",
            descending=False,
            links=[to_org("${__value.raw}")],
        ),
    )


def _verdicts(dashboard: Dashboard) -> None:
    certain = 'reason!~"fail_open|last_known|shadow|over_quota_allowed"'
    add_row(
        dashboard,
        "Verdicts",
        series_panel(
            "Allowed, marked, denied",
            "Every answer by what was decided. Marked calls went through without being sure: over"
            " quota, in shadow, or unconfirmed. When red grows: see Denied by reason.",
            Query(q.rate("requests_total", ROUTE, 'verdict="allow"', certain), "allowed", "green"),
            Query(
                q.rate("requests_total", ROUTE, 'reason=~"shadow|over_quota_allowed"'),
                "over quota, allowed",
                "yellow",
            ),
            Query(
                q.rate("requests_total", ROUTE, 'reason=~"fail_open|last_known"'),
                "unconfirmed",
                "orange",
            ),
            Query(DENIED, "denied", "red"),
            unit="reqps",
            stacked=True,
            width=12,
        ),
        series_panel(
            "Denied by reason",
            "Refusals by reason. When over_quota rises: sales. unauthenticated, not_entitled: the"
            " caller or the auth host. fail_closed, fail_open_spent: the platform. overloaded:"
            " more pods. bad_request, blocked: the caller or the policy.",
            Query(q.rate("requests_total", ROUTE, 'verdict="deny"', by="reason"), "{{reason}}"),
            unit="reqps",
            width=12,
        ),
    )


def _time(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Time and platform",
        series_panel(
            "Time we add",
            "Quantiles of what the sidecar adds before the product is called. When it is above the"
            " dashed line: 50 ms is the budget for 99 of 100 calls; look at the platform's answer"
            " time, then at CPU in Operations.",
            *(
                Query(q.quantile(x, "overhead_seconds", ROUTE), f"p{round(x * 100)}")
                for x in (0.5, 0.9, 0.99)
            ),
            unit="s",
            steps=[(0.05, "red")],
        ),
        series_panel(
            "Platform's answer time",
            "Quantiles of one request to the platform. When it nears platform_timeout (250 ms"
            " unless the policy says otherwise): calls are about to be decided without an answer.",
            *(
                Query(q.quantile(x, "consume_duration_seconds"), f"p{round(x * 100)}")
                for x in (0.5, 0.9, 0.99)
            ),
            unit="s",
            steps=[(0.2, "orange"), (0.25, "red")],
        ),
        series_panel(
            "Platform's answers",
            "Requests to the platform by outcome. When anything but granted and refused rises:"
            " credential_refused asks for a new key, connect and timeout for the network policy or"
            " the platform.",
            Query(q.rate("consume_requests_total", by="outcome") + " > 0", "{{outcome}}"),
            unit="reqps",
        ),
    )


def _owed(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Not settled yet",
        series_panel(
            "Waiting in the journal",
            "Units admitted that the platform has not confirmed. When it does not fall after"
            " the platform came back: see Reported later. Runbook: BbSidecarJournalOld.",
            Query(f"sum by (cluster, pod) ({q.metric('journal_pending_units')})", "{{pod}}"),
        ),
        series_panel(
            "Oldest in the journal",
            "Age of the oldest unit waiting. When above the red line (12 h): at 24 h the platform"
            " forgets the keys and units are given up. Runbook: BbSidecarJournalOld.",
            Query(f"max by (cluster, pod) ({q.metric('journal_oldest_seconds')})", "{{pod}}"),
            unit="s",
            steps=[(3600, "orange"), (43200, "red")],
        ),
        series_panel(
            "Reported later, and lost",
            "Units of the journal each second, by what became of them. When refused rises: used"
            " beyond the quota while the platform could not refuse. When lost rises: used and"
            " never billed. Runbook: BbSidecarJournalDropping.",
            Query(q.rate("journal_replayed_units_total", by="outcome"), "{{outcome}}"),
            Query(q.rate("journal_dropped_units_total"), "lost", "red"),
            unit="cps",
        ),
    )
