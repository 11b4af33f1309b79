"""For each alert, what makes it fire and what must not: series in promtool's notation.

A value `0+5x20` begins at 0 and grows by 5 a minute for 20 minutes. Unix time begins at 0, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

JOB: Final = {"namespace": "acme", "job": "notes"}
POD: Final = {**JOB, "pod": "notes-0"}
ORG: Final = {**JOB, "org": "org_acme", "resource": "ai_calls"}
MONTH: Final = 30 * 86400
LONG: Final = "x1600"

INJECTOR: Final = "BbSidecarInjectorRefusing"
ONE_REFUSED: Final = 'outcome="refused"'


@dataclass(frozen=True, slots=True)
class Case:
    """The alerts that fire at a time, given these series; none is a case like any other."""

    name: str
    alert: str
    series: Mapping[str, str]
    at: str
    fires: Sequence[Mapping[str, str]] = ()


def counted(name: str, value: str, *labels: str) -> dict[str, str]:
    """Write one series of a pod; a label is written as `kind="timeout"`."""
    own = (*(f'{label}="{text}"' for label, text in POD.items()), *labels)
    return {f"bb_sidecar_{name}{{{','.join(own)}}}": value}


def severe(severity: str, labels: Mapping[str, str] = JOB) -> dict[str, str]:
    """Write the labels of an alert."""
    return {"severity": severity, **labels}


def units(sure: str, trusted: str) -> dict[str, str]:
    """Write the units that were paid and those let through on trust."""
    return {
        **counted("units_total", sure, 'reason="within_quota"'),
        **counted("units_total", trusted, 'reason="fail_open"'),
    }


def answers(allowed: str, denied: str, reason: str = "over_quota") -> dict[str, str]:
    """Write the calls that were allowed and those refused for a reason."""
    return {
        **counted("requests_total", allowed, 'verdict="allow"', 'reason="within_quota"'),
        **counted("requests_total", denied, 'verdict="deny"', f'reason="{reason}"'),
    }


def added(quick: str, all_calls: str) -> dict[str, str]:
    """Write the calls to which at most 50 ms were added, and all of them."""
    return {
        **counted("overhead_seconds_bucket", quick, 'le="0.05"'),
        **counted("overhead_seconds_bucket", all_calls, 'le="+Inf"'),
        **counted("overhead_seconds_count", all_calls),
    }


def quota(used: str, left: str, *, limit: int = 1000, reset: int = MONTH) -> dict[str, str]:
    """Write one org's figures."""
    org = ('org="org_acme"', 'resource="ai_calls"')
    return {
        **counted("quota_used_units", used, *org),
        **counted("quota_remaining_units", left, *org),
        **counted("quota_limit_units", f"{limit}{LONG}", *org),
        **counted("quota_reset_timestamp_seconds", f"{reset}{LONG}", *org),
    }


def consumes(outcome: str, value: str) -> dict[str, str]:
    """Write the platform's answers of one kind."""
    return counted("consume_requests_total", value, f'outcome="{outcome}"')


REFUSED, TRUST = "BbSidecarCredentialRefused", "BbSidecarFailingOpen"
BUDGET, CLOSED = "BbSidecarFailOpenBudgetLow", "BbSidecarFailingClosed"
BREAKER, DISGUISED = "BbSidecarBreakerOpen", "BbSidecarPlatformDisguised"
OLD, DROPPING = "BbSidecarJournalOld", "BbSidecarJournalDropping"
SHARED = "BbSidecarSharedCountingLost"
KEYS, POLICY = "BbSidecarKeySetStale", "BbSidecarPolicyReloadFailed"
NEAR, AT, OUT = "BbSidecarOrgNearLimit", "BbSidecarOrgAtLimit", "BbSidecarOrgRunningOut"
LATENCY, SPIKE = "BbSidecarAddedLatency", "BbSidecarDenialSpike"
WORN, LASTING = severe("warning"), severe("critical")

CASES: Final[Sequence[Case]] = (
    Case("the key is refused", REFUSED, consumes("credential_refused", "0+9x20"), "10m",
         [severe("critical", {**JOB, "outcome": "credential_refused"})]),
    Case("the product is forbidden", REFUSED, consumes("forbidden", "0+9x20"), "10m",
         [severe("critical", {**JOB, "outcome": "forbidden"})]),
    Case("the platform is only away", REFUSED, consumes("timeout", "0+9x20"), "10m"),
    Case("it was refused once, an hour ago", REFUSED,
         consumes("credential_refused", "0 9x90"), "60m"),

    Case("one unit of twenty on trust", TRUST, units("0+95x30", "0+5x30"), "20m", [WORN]),
    Case("half of the units on trust", TRUST, units("0+50x90", "0+50x90"), "80m", [WORN, LASTING]),
    Case("one unit of two hundred on trust", TRUST, units("0+199x30", "0+1x30"), "20m"),
    Case("a blip of two minutes", TRUST, units("0+100x70", "0x60 60+60x10"), "62m"),

    Case("nine tenths are spent", BUDGET, counted("fail_open_budget_spent_ratio", "0.9x20"), "5m",
         [LASTING]),
    Case("half is spent", BUDGET, counted("fail_open_budget_spent_ratio", "0.5x20"), "5m"),

    Case("a budget is gone", CLOSED, answers("0+60x20", "0+6x20", "fail_open_spent"), "10m",
         [LASTING]),
    Case("a route that fails closed", CLOSED, answers("0+60x20", "0+6x20", "fail_closed"), "10m",
         [LASTING]),
    Case("an org over quota", CLOSED, answers("0+60x20", "0+6x20", "over_quota"), "10m"),

    Case("open, with probes", BREAKER,
         counted("platform_breaker_state", "2 1 2 1 2 1 2 1 2 1"), "6m", [severe("warning", POD)]),
    Case("open for a moment", BREAKER, counted("platform_breaker_state", "0 0 2 0 0 0 0"), "4m"),

    Case("limited orgs called unlimited", DISGUISED,
         counted("platform_degraded_total", "0+3x20", 'kind="disguised"'), "10m", [WORN]),
    Case("another failure", DISGUISED,
         counted("platform_degraded_total", "0+3x20", 'kind="connect"'), "10m"),

    Case("an hour and a bit", OLD, counted("journal_oldest_seconds", "4000x30"), "10m", [WORN]),
    Case("fourteen hours", OLD, counted("journal_oldest_seconds", "50000x30"), "10m",
         [WORN, LASTING]),
    Case("ten minutes", OLD, counted("journal_oldest_seconds", "600x30"), "10m"),

    Case("five units given up", DROPPING, counted("journal_dropped_units_total", "0 0 5x9"), "4m",
         [LASTING]),
    Case("five units given up yesterday", DROPPING,
         counted("journal_dropped_units_total", "5x60"), "50m"),

    Case("Redis cannot be used", SHARED, counted("attempts_shared", "1 0x20"), "10m",
         [severe("warning", POD)]),
    Case("a failover of Redis", SHARED, counted("attempts_shared", "1 0 0 1x20"), "10m"),

    Case("not confirmed for half an hour", KEYS,
         {**counted("jwks_age_seconds", "1900x20"), **counted("jwks_keys", "2x20")}, "10m", [WORN]),
    Case("never had a key", KEYS, counted("jwks_keys", "0x20"), "5m", [LASTING]),
    Case("confirmed ten minutes ago", KEYS,
         {**counted("jwks_age_seconds", "600x20"), **counted("jwks_keys", "2x20")}, "10m"),

    Case("rejected", POLICY, counted("policy_last_reload_successful", "1 0x20"), "5m",
         [severe("warning", POD)]),
    Case("fixed at once", POLICY, counted("policy_last_reload_successful", "1 0 1x20"), "5m"),

    Case("85 % used", NEAR, quota("850x20", "150x20"), "10m", [severe("info", ORG)]),
    Case("79 % used", NEAR, quota("790x20", "210x20"), "10m"),
    Case("all used, which is another alert", NEAR, quota("1000x20", "0x20"), "10m"),
    Case("of a period that has ended", NEAR, quota("850x20", "150x20", reset=300), "10m"),

    Case("all used", AT, quota("1000x20", "0x20"), "10m", [severe("warning", ORG)]),
    Case("one left", AT, quota("999x20", "1x20"), "10m"),
    Case("no limit of its own", AT, quota("0x20", "0x20", limit=0), "10m"),

    Case("a minute a unit, 680 of 1000", OUT, quota("500+1x400", "500-1x400"), "3h",
         [severe("info", ORG)]),
    Case("but the reset comes first", OUT,
         quota("500+1x400", "500-1x400", reset=4 * 3600), "3h"),
    Case("as much used, and no more", OUT, quota("680x400", "320x400"), "3h"),
    Case("early in the period", OUT, quota("0+1x400", "1000-1x400"), "3h"),
    Case("a burst after a quiet day", OUT,
         quota("600x1380 601+1x60", "400x1380 399-1x60", reset=2 * 86400), "24h"),

    Case("one call of five slowed", LATENCY, added("0+80x120", "0+100x120"), "100m",
         [WORN, LASTING]),
    Case("one call of twenty slowed", LATENCY, added("0+95x120", "0+100x120"), "100m", [WORN]),
    Case("one call of two hundred slowed", LATENCY, added("0+199x120", "0+200x120"), "100m"),
    Case("over for ten minutes", LATENCY,
         added("0+80x90 7300+100x30", "0+100x120"), "100m", [WORN]),

    Case("half refused, after a day of 1 %", SPIKE,
         answers("0+99x1440 142600+50x60", "0+1x1440 1490+50x60"), "24h20m", [WORN]),
    Case("half refused from the first day on", SPIKE, answers("0+50x30", "0+50x30"), "12m", [WORN]),
    Case("half refused as always", SPIKE, answers("0+50x1500", "0+50x1500"), "24h20m"),
    Case("two calls of four in a quarter of an hour", SPIKE,
         answers("0 0 0 0 0 0 1 1 2x30", "0 0 0 0 0 0 1 1 2x30"), "14m"),

    Case("a pod is refused", INJECTOR, counted("inject_reviews_total", "0x5 1x20", ONE_REFUSED),
         "8m", [{**severe("warning"), "outcome": "refused"}]),
    Case("only reviews as usual", INJECTOR,
         counted("inject_reviews_total", "0+5x20", 'outcome="patched"'), "8m"),
)  # fmt: skip
