"""Operations: the data plane, the platform's side, keys, policy and the process itself."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards import queries as q
from tools.dashboards.page import OPERATIONS, add_row, page, routes
from tools.dashboards.panels import Column, Query, series_panel, stat_panel, table_panel
from tools.dashboards.usage import charged_by_usage

ROUTE: Final = 'route=~"$route"'


def operations() -> Dashboard:
    """Build the dashboard."""
    dashboard = page(
        OPERATIONS,
        "For operators: each part of the sidecar by itself.",
        time_from="now-3h",
    ).with_variable(routes())
    for part in (
        _data_plane,
        _product,
        _platform,
        _leases,
        charged_by_usage,
        _identity,
        _policy,
        _process,
    ):
        part(dashboard)
    return dashboard


def _data_plane(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Data plane",
        series_panel(
            "Requests by route",
            "Answers each second by route of the policy. When one falls away: its callers, or a"
            " policy that no longer matches it (see Policy).",
            Query(q.rate("requests_total", ROUTE, by="route"), "{{route}}"),
            unit="reqps",
            width=6,
        ),
        series_panel(
            "In flight",
            "Requests being served, streams included, by pod. When it nears --max-inflight: calls"
            " are about to get 503 overloaded; add pods.",
            Query(f"sum by (cluster, pod) ({q.metric('inflight_requests')})", "{{pod}}"),
            width=6,
        ),
        series_panel(
            "Client connections",
            "Connections open, by pod. When it nears --max-connections: calls are about to get 503"
            " overloaded; add pods.",
            Query(f"sum by (cluster, pod) ({q.metric('open_connections')})", "{{pod}}"),
            width=6,
        ),
        series_panel(
            "Connections ended",
            "Connections that a deadline or a bound ended, by cause. When causes other than idle"
            " rise: slow or hostile peers, or a deadline too short for your clients.",
            Query(q.rate("connections_closed_total", by="cause"), "{{cause}}"),
            unit="cps",
            width=6,
        ),
    )


def _product(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Product",
        series_panel(
            "Answers by status",
            "Every answer by its status; none where the caller went away first. When 5xx rises:"
            " 502 and 504 are the product (see Errors of the product), 503 are ours.",
            Query(q.rate("requests_total", ROUTE, by="code"), "{{code}}"),
            unit="reqps",
            stacked=True,
        ),
        series_panel(
            "Time of an answer",
            "From the head read to the last byte sent, p50 of all and p99 by route; a stream"
            " counts until its end. When it rises and Time we add (Overview) does not: the product"
            " is slow.",
            Query(q.quantile(0.5, "request_duration_seconds", ROUTE), "all p50"),
            Query(q.quantile(0.99, "request_duration_seconds", ROUTE, by="route"), "{{route}} p99"),
            unit="s",
        ),
        series_panel(
            "Errors of the product",
            "The product could not be reached, or broke its protocol. When it rises: look at the"
            " product's own log and whether its container is up.",
            Query(q.rate("upstream_errors_total", by="kind"), "{{kind}}"),
            unit="cps",
        ),
    )


def _platform(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Platform",
        series_panel(
            "Breaker",
            "0 closed, 1 half open, 2 open, by pod. When one pod alone is open: its network policy"
            " or node. When all are: the platform. Runbook: BbSidecarBreakerOpen.",
            Query(f"max by (cluster, pod) ({q.metric('platform_breaker_state')})", "{{pod}}"),
            steps=[(2, "red")],
            width=6,
        ),
        series_panel(
            "Decided without an answer",
            "Calls that went by on_platform_error, by what failed. When credential_refused,"
            " forbidden, not_found or unprocessable is here: waiting does not fix it. disguised:"
            " the platform's own store is down.",
            Query(q.rate("platform_degraded_total", by="kind") + " > 0", "{{kind}}"),
            unit="reqps",
            width=6,
        ),
        series_panel(
            "Fail-open budget spent",
            "Share of the budget that the worst org has spent, by pod. When at 100 %: that org's"
            " calls get 503 fail_open_spent. Runbook: BbSidecarFailOpenBudgetLow.",
            Query(f"max by (cluster, pod) ({q.metric('fail_open_budget_spent_ratio')})", "{{pod}}"),
            unit="percentunit",
            steps=[(0.8, "red")],
            width=6,
        ),
        series_panel(
            "Events and notices",
            "Deliveries of the platform's events, and quota notices to orgs, by outcome; empty"
            " where neither is on. When unsigned rises: a stranger, or two processes registered"
            " one URL. When notices are refused: the bbk_ key is not of that org.",
            Query(q.rate("webhook_events_total", by="outcome"), "event {{outcome}}"),
            Query(q.rate("notices_total", by="outcome"), "notice {{outcome}}"),
            unit="cps",
            width=6,
        ),
    )


def _leases(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Units ahead, owed and repeated",
        series_panel(
            "Leases",
            "Units consumed ahead of their calls, by state. When large and idle: leases are bigger"
            " than the traffic needs.",
            Query(f"sum by (cluster, state) ({q.metric('lease_units')})", "{{state}}"),
            width=6,
        ),
        series_panel(
            "Leases asked for",
            "Consumes for leases by outcome. When near the units admitted: leasing saves"
            " nothing, the org's quota is nearly used up.",
            Query(q.rate("lease_requests_total", by="outcome"), "{{outcome}}"),
            Query(q.rate("units_total", 'reason="leased"'), "units admitted", "green"),
            unit="cps",
            width=6,
        ),
        series_panel(
            "Credits",
            "Units paid for attempts that failed, waiting for the org's next call. When they grow:"
            " the product cannot be reached (see Errors of the product).",
            Query(f"sum by (cluster, pod) ({q.metric('credits_units')})", "{{pod}}"),
            width=6,
        ),
        series_panel(
            "Repeats",
            "Request IDs seen again: charge paid again, reject got 409. When it rises: a client"
            " retries with a fixed ID.",
            Query(q.rate("replays_total", by="action"), "{{action}}"),
            unit="cps",
            width=6,
        ),
        series_panel(
            "The journal's disk",
            "When unwritable is 1: nothing can fail open; free or repair the disk. When damaged is"
            " above 0: bytes could not be read at the start, see journal_damaged in the log.",
            Query(
                f"max by (cluster, pod) ({q.metric('journal_unwritable')})",
                "unwritable {{pod}}",
                "red",
            ),
            Query(
                f"sum by (cluster, pod) ({q.metric('journal_damaged_bytes')})", "damaged {{pod}}"
            ),
            width=6,
        ),
        series_panel(
            "Attempts counted over all replicas",
            "1 while Redis numbers the attempts of trusted request IDs, 0 while the pod counts"
            " alone; empty without --redis. When 0: GET /ready of the pod says why. Runbook:"
            " BbSidecarSharedCountingLost.",
            Query(f"min by (cluster, pod) ({q.metric('attempts_shared')})", "{{pod}}"),
            width=6,
        ),
        series_panel(
            "Paid units lost",
            "Paid units given up unused, by cause. When expired rises in the middle of a period:"
            " check the clock. When shared_key rises: count request IDs in Redis (--redis).",
            Query(q.rate("credits_lost_units_total", by="cause"), "{{cause}}"),
            unit="cps",
            width=6,
        ),
        series_panel(
            "Lag of the event loop",
            "How late the loop runs, p99 by pod. When it is over 50 ms: one call holds up the"
            " others, or the CPU is short; see the throttling of the container.",
            Query(q.quantile(0.99, "loop_lag_seconds", by="pod"), "{{pod}}"),
            unit="s",
            width=6,
        ),
    )


def _identity(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Identity",
        stat_panel(
            "Public keys",
            "The fewest keys that a pod trusts. When red: none, and every metered call gets 401"
            " unless it carries the product's own session. Runbook: BbSidecarKeySetStale.",
            Query(f"min({q.metric('jwks_keys')})"),
            steps=[(1, "green")],
            base="red",
            height=8,
        ),
        series_panel(
            "Age of the key set",
            "Since the auth host last confirmed the keys, which it is asked every 10 minutes. When"
            " above the line (30 min): it cannot be reached, and a withdrawn key is still trusted."
            " Runbook: BbSidecarKeySetStale.",
            Query(f"max by (cluster, pod) ({q.metric('jwks_age_seconds')})", "{{pod}}"),
            unit="s",
            steps=[(1800, "red")],
            width=6,
        ),
        series_panel(
            "Fetches of the key set",
            "By outcome. When anything but ok goes on: the auth host, its certificate, or the"
            " network policy to it.",
            Query(f"sum by (cluster, outcome) ({q.metric('jwks_refresh_total')})", "{{outcome}}"),
            width=6,
        ),
        series_panel(
            "Calls without an identity",
            "Metered calls that got 401, by what was wrong. expired is everyday. When"
            " bad_signature, wrong_algorithm or forbidden_header rise: tokens are forged.",
            Query(q.rate("identity_failures_total", by="kind") + " > 0", "{{kind}}"),
            unit="reqps",
        ),
    )


def _policy(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Policy and versions",
        stat_panel(
            "Policy file",
            "Whether the file of every pod is in force. When red: a pod rejected it and the last"
            " good one rules; GET /ready says why. Runbook: BbSidecarPolicyReloadFailed.",
            Query(f"min({q.metric('policy_last_reload_successful')})"),
            texts={"0": ("rejected", "red"), "1": ("in force", "green")},
            steps=[(1, "green")],
            base="red",
            spark=False,
            height=8,
        ),
        series_panel(
            "Reloads",
            "Reloads of the policy since the pods started, by outcome. When rejected steps up:"
            " run bb-sidecar check on the new file.",
            Query(f"sum by (cluster, outcome) ({q.metric('policy_reload_total')})", "{{outcome}}"),
            width=6,
        ),
        table_panel(
            "What runs",
            "Pods by policy and by version. When a second hash or version stays after a rollout:"
            " a ConfigMap or an image did not arrive somewhere.",
            [
                Column(
                    "Pods",
                    f"count by (cluster, version, revision, hash) ({q.metric('build_info')} *"
                    f" {q.ONE_TARGET} group_left (hash) "
                    f"{q.metric('policy_info')})",
                )
            ],
            keys={
                "version": "Version",
                "revision": "Revision",
                "hash": "Policy",
                "cluster": "Cluster",
            },
            sort="Pods",
            width=14,
            height=8,
        ),
    )


def _process(dashboard: Dashboard) -> None:
    add_row(
        dashboard,
        "Process",
        series_panel(
            "Memory",
            "Resident memory by pod. When it nears the container's limit: the pod will be killed;"
            " lower --metrics-orgs or --max-connections, or raise the limit.",
            Query(q.process("resident_memory_bytes"), "{{pod}}"),
            unit="bytes",
        ),
        series_panel(
            "CPU",
            "Cores used by pod. When near 1 for each worker: the event loop is full and Time we"
            " add grows; add pods or workers.",
            Query(q.process_rate("cpu_seconds_total"), "{{pod}}"),
            unit="short",
            steps=[(0.9, "red")],
        ),
        series_panel(
            "Open files",
            "File descriptors as a share of what the process may have, by pod. When red: raise the"
            " limit or lower --max-connections, or new connections are refused.",
            Query(f"({q.process('open_fds')}) / ({q.process('max_fds')})", "{{pod}}"),
            unit="percentunit",
            steps=[(0.8, "red")],
        ),
    )
