"""For each alert, what makes it fire and what must not: series in promtool's notation.

A value `0+5x20` begins at 0 and grows by 5 a minute for 20 minutes. Unix time begins at 0, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

JOB: Final = {"cluster": "east", "namespace": "acme", "job": "notes"}
POD: Final = {**JOB, "pod": "notes-0"}
ORG: Final = {**JOB, "org": "org_acme", "resource": "ai_calls"}
MONTH: Final = 30 * 86400
LONG: Final = "x1600"

INJECTOR, NO_INJECTOR = "BbSidecarInjectorRefusing", "BbSidecarInjectorDown"
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


def of_west(series: Mapping[str, str]) -> dict[str, str]:
    """Write the same series for another cluster, whose names are the same."""
    return {
        name.replace('cluster="east"', 'cluster="west"'): value for name, value in series.items()
    }


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


def codes(good: str, bad: str) -> dict[str, str]:
    """Write the answers with 200 and with 502."""
    allowed = ('verdict="allow"', 'reason="within_quota"')
    return {
        **counted("requests_total", good, *allowed, 'code="200"'),
        **counted("requests_total", bad, *allowed, 'code="502"'),
    }


def lag(timely: str, turns: str) -> dict[str, str]:
    """Write the turns of the event loop that were at most 100 ms late, and all of them."""
    return {
        **counted("loop_lag_seconds_bucket", timely, 'le="0.1"'),
        **counted("loop_lag_seconds_bucket", turns, 'le="0.25"'),
        **counted("loop_lag_seconds_bucket", turns, 'le="+Inf"'),
    }


def target(instance: str, value: str) -> dict[str, str]:
    """Write whether a target could be scraped."""
    labels = ",".join(f'{label}="{text}"' for label, text in {**POD, "instance": instance}.items())
    return {f"up{{{labels}}}": value}


def settled(named: str, missing: str, cause: str = "absent") -> dict[str, str]:
    """Write a route's calls that succeeded, and its answers without usage."""
    allowed = ('verdict="allow"', 'reason="within_quota"')
    return {
        **counted("requests_total", named, 'route="chat"', *allowed, 'code="200"'),
        **counted("requests_total", "0+500x90", 'route="free"', *allowed, 'code="200"'),
        **counted("usage_missing_total", missing, 'route="chat"', f'cause="{cause}"'),
    }


def owed(covered: str, beyond: str, outcome: str = "overrun") -> dict[str, str]:
    """Write the units owed that were consumed, and those that a quota did not cover."""
    unit = 'resource="ai_calls"'
    return {
        **counted("settled_units_total", covered, unit, 'outcome="counted"'),
        **counted("settled_units_total", "0+9000x90", unit, 'outcome="returned"'),
        **counted("settled_units_total", beyond, unit, f'outcome="{outcome}"'),
        **counted("settled_units_total", "0+9000x90", 'resource="bytes"', 'outcome="counted"'),
    }


def consumes(outcome: str, value: str) -> dict[str, str]:
    """Write the platform's answers of one kind."""
    return counted("consume_requests_total", value, f'outcome="{outcome}"')


REFUSED, TRUST = "BbSidecarCredentialRefused", "BbSidecarFailingOpen"
BUDGET, CLOSED = "BbSidecarFailOpenBudgetLow", "BbSidecarFailingClosed"
BREAKER, DISGUISED = "BbSidecarBreakerOpen", "BbSidecarPlatformDisguised"
OLD, DROPPING = "BbSidecarJournalOld", "BbSidecarJournalDropping"
UNNAMED, OVERRUN = "BbSidecarUsageMissing", "BbSidecarOverrun"
SHARED = "BbSidecarSharedCountingLost"
KEYS, POLICY = "BbSidecarKeySetStale", "BbSidecarPolicyReloadFailed"
NEAR, AT, OUT = "BbSidecarOrgNearLimit", "BbSidecarOrgAtLimit", "BbSidecarOrgRunningOut"
LATENCY, SPIKE = "BbSidecarAddedLatency", "BbSidecarDenialSpike"
DOWN, ERRORS, FULL = "BbSidecarTargetDown", "BbSidecarServerErrors", "BbSidecarSaturated"
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
    Case("a cluster that fails open beside a busy healthy one of the same names", TRUST,
         {**units("0x90", "0+10x90"), **of_west(units("0+9000x90", "0x90"))}, "80m",
         [WORN, LASTING]),
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

    Case("one answer of ten names no usage", UNNAMED, settled("0+100x90", "0+10x90"), "60m",
         [severe("warning", {**JOB, "route": "chat"})]),
    Case("one answer of ten cannot be read", UNNAMED,
         settled("0+100x90", "0+10x90", "unreadable"), "60m",
         [severe("warning", {**JOB, "route": "chat"})]),
    Case("one answer of fifty names no usage", UNNAMED, settled("0+100x90", "0+2x90"), "60m"),
    Case("every second client leaves early", UNNAMED, settled("0+100x90", "0+50x90", "cut"), "60m"),

    Case("a tenth of what is owed is beyond the quota", OVERRUN, owed("0+90x90", "0+10x90"), "60m",
         [severe("warning", {**JOB, "resource": "ai_calls"})]),
    Case("a hundredth is, of an org's last calls", OVERRUN, owed("0+99x90", "0+1x90"), "60m"),
    Case("a tenth is forgiven, as the policy says", OVERRUN,
         owed("0+90x90", "0+10x90", "forgiven"), "60m"),

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

    Case("all used", AT, quota("1000x20", "0x20"), "10m", [severe("info", ORG)]),
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

    Case("half of the answers are 5xx", ERRORS, codes("0+50x30", "0+50x30"), "20m",
         [WORN, LASTING]),
    Case("one answer of ten is 5xx", ERRORS, codes("0+90x30", "0+10x30"), "20m", [WORN]),
    Case("one answer of ten is 5xx, in the other of two clusters", ERRORS,
         {**codes("0+90x30", "0+10x30"), **of_west(codes("0+9000x30", "0x30"))}, "20m", [WORN]),
    Case("one answer of a hundred is 5xx", ERRORS, codes("0+99x30", "0+1x30"), "20m"),
    Case("the only call in ten minutes is 5xx", ERRORS, codes("0x30", "0x9 1x20"), "12m"),

    Case("one call of twenty has no room", FULL, answers("0+95x20", "0+5x20", "overloaded"), "10m",
         [LASTING]),
    Case("an org over quota has room", FULL, answers("0+95x20", "0+5x20"), "10m"),
    Case("one turn of fifty is late", FULL, lag("0+98x30", "0+100x30"), "20m",
         [severe("warning", POD)]),
    Case("one turn of five hundred is late", FULL, lag("0+998x30", "0+1000x30"), "20m"),

    Case("every sidecar of a job is gone", DOWN, counted("build_info", "1x5 stale"), "15m",
         [LASTING]),
    Case("they are gone in one of two clusters", DOWN,
         {**counted("build_info", "1x5 stale"), **of_west(counted("build_info", "1x20"))}, "15m",
         [LASTING]),
    Case("a sidecar of several cannot be scraped", DOWN,
         {**target("notes-0:9902", "1x5 0x20"), **target("notes-1:9902", "1x30"),
          **counted("build_info", "1x5 stale", 'instance="notes-0:9902"'),
          **counted("build_info", "1x30", 'instance="notes-1:9902"')}, "20m",
         [severe("warning", {**POD, "instance": "notes-0:9902"})]),
    Case("another target of the job cannot be scraped", DOWN,
         {**target("other:80", "1x5 0x20"), **counted("build_info", "1x30")}, "20m"),
    Case("it restarts", DOWN, counted("build_info", "1x5 stale _x2 1x20"), "15m"),

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

    Case("every injector is gone", NO_INJECTOR,
         counted("inject_reviews_total", "1x5 stale", ONE_REFUSED), "15m", [LASTING]),
    Case("an injector is there", NO_INJECTOR,
         counted("inject_reviews_total", "1x20", ONE_REFUSED), "15m"),
)  # fmt: skip
