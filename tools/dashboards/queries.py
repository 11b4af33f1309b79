"""PromQL, put together: every selector carries the dashboards' variables.

`$cluster`, `$namespace`, `$job`, `$pod` and `$route` are of the dashboard; `$__rate_interval` is
Grafana's own: long enough for four scrapes whatever the zoom.
"""

from __future__ import annotations

from typing import Final

_PODS: Final = 'cluster=~"$cluster",namespace=~"$namespace",job=~"$job",pod=~"$pod"'
ONE_TARGET: Final = "on (cluster, namespace, job, pod, instance)"
_OURS: Final = f"{ONE_TARGET} bb_sidecar_build_info{{{_PODS}}}"
"""The product beside a sidecar has `process_*` too: only what exposes our metrics counts."""

_BURN_WINDOW: Final = "6h"
"""How far back the rate of use is taken: shorter ones take a lunch break for the trend."""


def metric(name: str, *labels: str) -> str:
    """Select a metric of ours in the chosen pods; a label is written as `kind="timeout"`."""
    return f"bb_sidecar_{name}{{{','.join((_PODS, *labels))}}}"


def process(name: str) -> str:
    """Select a `process_*` gauge of the chosen pods' sidecars."""
    return f"process_{name}{{{_PODS}}} and {_OURS}"


def process_rate(name: str) -> str:
    """Give a `process_*` counter of the chosen pods' sidecars per second."""
    return f"rate(process_{name}{{{_PODS}}}[$__rate_interval]) and {_OURS}"


def rate(name: str, *labels: str, by: str = "") -> str:
    """Per second, summed over the pods; `by` names the labels to keep beside the cluster."""
    return f"sum{_by(by)} (rate({metric(name, *labels)}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """Divide; a part without series is zero of the whole, not no data."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def quantile(q: float, name: str, *labels: str, by: str = "") -> str:
    """Estimate a quantile of a histogram over the pods."""
    buckets = metric(f"{name}_bucket", *labels)
    keep = _by(f"le, {by}" if by else "le")
    return f"histogram_quantile({q}, sum{keep} (rate({buckets}[$__rate_interval])))"


def quota(name: str, *labels: str, how: str = "max") -> str:
    """Combine what the pods know of each org: only of the period that still runs.

    A pod without a call of an org since the last reset still has the old period's figures.
    """
    known = metric(f"quota_{name}_units", *labels)
    running = metric("quota_reset_timestamp_seconds", *labels)
    return f"{how} by (cluster, org, resource) ({known} and {running} > time())"


def reset(*labels: str) -> str:
    """Say when each org's period ends, Unix time."""
    ends = metric("quota_reset_timestamp_seconds", *labels)
    return f"max by (cluster, org, resource) ({ends} > time())"


def used_share(*labels: str) -> str:
    """Say how much of its limit each org has used, 0 to 1 and beyond."""
    return f"{quota('used', *labels)} / ({quota('limit', *labels)} > 0)"


def burn(*labels: str, window: str = _BURN_WINDOW) -> str:
    """Say how many units each org uses a second, by the trend of the window."""
    return f"clamp_min(deriv(({quota('used', *labels)})[{window}:1m]), 0)"


def runs_out_at(*labels: str) -> str:
    """Say when each org's units are gone if it goes on as it does, Unix time."""
    left = quota("remaining", *labels, how="min")
    return f"{left} / ({burn(*labels)} > 0) + time()"


def _by(labels: str) -> str:
    """Keep the cluster always: in a sum over all, a small one that fails would not be seen."""
    return f" by ({', '.join(filter(None, ('cluster', labels)))})"
