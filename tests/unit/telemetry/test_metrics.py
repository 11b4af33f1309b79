from __future__ import annotations

import pytest

from sidecar.domain.choices import OnReplay
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Decision, Loss, Reason, Unreported
from sidecar.domain.ports import (
    AdmissionObserver,
    IdentityObserver,
    PlatformObserver,
    PolicyObserver,
    RequestObserver,
)
from sidecar.domain.quota import FailureKind, Quota
from sidecar.telemetry.catalogue import METRICS
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.observer import Observer
from sidecar.telemetry.series import Labels

BUILD: Labels = ("0", "abc123", "3.13.0", "pure")


def decided(reason: Reason, route: str = "chat") -> Decision:
    """A decision for a route."""
    return Decision(reason, route, "req", None)


def values(metrics: Metrics, name: str) -> dict[Labels, float]:
    """The series of one metric that are above zero."""
    return {labels: value for labels, value in metrics.snapshot().values[name].items() if value > 0}


def test_the_observer_satisfies_every_port() -> None:
    """One object for five ports; the annotations are the proof."""
    metrics = Observer(build=BUILD)
    requests: RequestObserver = metrics
    admission: AdmissionObserver = metrics
    platform: PlatformObserver = metrics
    identity: IdentityObserver = metrics
    policy: PolicyObserver = metrics
    assert requests is admission is platform is identity is policy  # type: ignore[comparison-overlap]  # one object, five ports


def test_an_answer_is_counted_by_route_verdict_reason_and_code() -> None:
    """And its duration by route."""
    metrics = Metrics(build=BUILD)
    metrics.request_finished(decided(Reason.WITHIN_QUOTA), 200, 0.002)
    metrics.request_finished(decided(Reason.OVER_QUOTA), 429, 0.001)
    assert values(metrics, "requests_total") == {
        ("chat", "allow", "within_quota", "200"): 1,
        ("chat", "deny", "over_quota", "429"): 1,
    }
    assert sum(metrics.snapshot().histograms["request_duration_seconds"]["chat",].counts) == 2


@pytest.mark.parametrize(
    ("code", "label"),
    [(0, "none"), (200, "200"), (299, "2xx"), (418, "418"), (477, "4xx"), (599, "5xx"),
     (999, "other"), (-5, "other")],
)  # fmt: skip
def test_a_code_outside_the_known_ones_is_its_class(code: int, label: str) -> None:
    """The product may answer anything."""
    metrics = Metrics(build=BUILD)
    metrics.request_finished(decided(Reason.UNMETERED), code, 0.1)
    assert list(values(metrics, "requests_total")) == [("chat", "allow", "unmetered", label)]


def test_added_time_is_counted_by_route() -> None:
    """Before the upstream was called; in whole nanoseconds, which add up exactly."""
    metrics = Metrics(build=BUILD)
    metrics.units_admitted("ai_calls", "chat", Reason.LEASED, 1)
    metrics.request_finished(decided(Reason.LEASED), 200, 0.1, 0.0004)
    overhead = metrics.snapshot().histograms["overhead_seconds"]
    assert {route: each.nanoseconds for route, each in overhead.items()} == {("chat",): 400_000}


def test_routes_that_meter_nothing_share_their_durations() -> None:
    """A thousand of them are a thousand series and not 38,000; each still counts its answers."""
    metrics = Metrics(build=BUILD)
    for number in range(1000):
        metrics.request_finished(decided(Reason.UNMETERED, f"free{number}"), 200, 0.1, 0.1)
    snapshot = metrics.snapshot()
    assert len(snapshot.values["requests_total"]) == 1000
    for name in ("overhead_seconds", "request_duration_seconds"):
        assert list(snapshot.histograms[name]) == [("none",)]
        assert sum(snapshot.histograms[name]["none",].counts) == 1000


@pytest.mark.parametrize("reason", [Reason.WITHIN_QUOTA, Reason.OVER_QUOTA, Reason.FAIL_CLOSED])
def test_a_route_that_meters_has_durations_of_its_own(reason: Reason) -> None:
    """From its first such decision on, also where an unreadable request came before."""
    metrics = Metrics(build=BUILD)
    metrics.request_finished(decided(Reason.BAD_REQUEST), 400, 0.1)
    metrics.request_finished(decided(reason), 200, 0.1)
    metrics.request_finished(decided(Reason.BAD_REQUEST), 400, 0.1)
    durations = metrics.snapshot().histograms["request_duration_seconds"]
    assert {route: sum(each.counts) for (route,), each in durations.items()} == {
        "none": 1, "chat": 2,
    }  # fmt: skip


def test_a_metered_route_of_that_name_is_counted_with_them() -> None:
    """Two series cannot have one name."""
    metrics = Metrics(build=BUILD)
    metrics.request_finished(decided(Reason.UNMETERED, "free"), 200, 0.1)
    metrics.request_finished(decided(Reason.WITHIN_QUOTA, "none"), 200, 0.1)
    durations = metrics.snapshot().histograms["request_duration_seconds"]
    assert {route: sum(each.counts) for (route,), each in durations.items()} == {"none": 2}


def test_parts_are_of_one_slice_and_calls_may_come_in_between() -> None:
    """A snapshot of many routes holds the loop for one slice at a time."""
    metrics = Metrics(build=BUILD)
    for number in range(1000):
        metrics.request_finished(decided(Reason.WITHIN_QUOTA, f"r{number}"), 200, 0.1)
    sizes = []
    for part in metrics.parts():
        sizes.append(len(list(part.samples())))
        metrics.request_finished(decided(Reason.WITHIN_QUOTA, f"new{len(sizes)}"), 200, 0.1)
    assert max(sizes) == 400
    assert sum(sizes) > 2000


def test_units_are_counted_by_resource_route_and_reason() -> None:
    """As many as were let through."""
    metrics = Metrics(build=BUILD)
    metrics.units_admitted("ai_calls", "chat", Reason.LEASED, 3)
    metrics.units_admitted("ai_calls", "chat", Reason.LEASED, 2)
    assert values(metrics, "units_total") == {("ai_calls", "chat", "leased"): 5}


def test_each_verb_moves_its_own_counter() -> None:
    """One event, one series, nothing else."""
    metrics = Observer(build=BUILD)
    metrics.connection_closed("slow_head")
    metrics.upstream_failed("connect", "refused")
    metrics.identity_failed(IdentityFailure.EXPIRED)
    metrics.platform_degraded(FailureKind.TIMEOUT)
    metrics.credits_lost(4, Loss.EXPIRED)
    metrics.replay_seen(OnReplay.REJECT)
    metrics.journal_replayed("counted", 7)
    metrics.journal_dropped(5, Unreported.EXPIRED)
    metrics.lease_requested("granted")
    metrics.consume_finished("granted", 0.003)
    metrics.keys_refreshed("ok", 2)
    metrics.policy_reloaded("loaded")
    moved = {
        name: {labels: value for labels, value in series.items() if value > 0}
        for name, series in metrics.snapshot().values.items()
    }
    assert {name: series for name, series in moved.items() if series} == {
        "connections_closed_total": {("slow_head",): 1},
        "upstream_errors_total": {("connect",): 1},
        "identity_failures_total": {("expired",): 1},
        "platform_degraded_total": {("timeout",): 1},
        "replays_total": {("reject",): 1},
        "journal_replayed_units_total": {("counted",): 7},
        "journal_dropped_units_total": {(): 5},
        "credits_lost_units_total": {("expired",): 4},
        "lease_requests_total": {("granted",): 1},
        "consume_requests_total": {("granted",): 1},
        "jwks_refresh_total": {("ok",): 1},
        "jwks_keys": {(): 2},
        "policy_reload_total": {("loaded",): 1},
        "build_info": {BUILD: 1},
    }


def test_what_the_platform_told_becomes_gauges() -> None:
    """By org and resource; an org without a limit has none."""
    metrics = Metrics(build=BUILD)
    known = [
        ("org_acme", Quota("ai_calls", 25, 12, 13, "month", 0.0)),
        ("org_free", Quota("ai_calls", -1, 0, -1, "month", 0.0)),
    ]
    metrics.read_quotas_at_scrape(lambda _: known)
    told = metrics.snapshot().values
    assert [told[f"quota_{name}_units"] for name in ("limit", "used", "remaining")] == [
        {("org_acme", "ai_calls"): 25},
        {("org_acme", "ai_calls"): 12},
        {("org_acme", "ai_calls"): 13},
    ]


def test_a_gauge_is_read_from_its_owner() -> None:
    """At the scrape, and no sooner."""
    metrics = Metrics(build=BUILD)
    state = {"held": 3.0}
    metrics.read_at_scrape("inflight_requests", lambda: 7)
    metrics.read_at_scrape("lease_units", lambda: {(name,): n for name, n in state.items()})
    state["held"] = 4.0
    told = metrics.snapshot().values
    assert (told["inflight_requests"], told["lease_units"]) == ({(): 7}, {("held",): 4.0})


@pytest.mark.parametrize("name", ["requests_total", "overhead_seconds", "no_such"])
def test_only_gauges_can_be_read_from_an_owner(name: str) -> None:
    """A counter has its verb."""
    with pytest.raises(ValueError, match="is no gauge: one of "):
        Metrics(build=BUILD).read_at_scrape(name, lambda: 1)


async def test_the_number_of_series_stays_bounded() -> None:
    """Conformance 45: 10,000 routes, orgs, codes and kinds, though none of them should come."""
    metrics = Observer(build=BUILD, orgs=100)
    ledger: list[tuple[str, Quota]] = []
    metrics.read_quotas_at_scrape(lambda orgs: ledger[:orgs])
    for number in range(10_000):
        name = f"n{number}"
        metrics.request_finished(decided(Reason.UNMETERED, name), number % 1000, 0.1)
        ledger.append((name, Quota(name, 25, 1, 24, "month", 0.0)))
        metrics.upstream_failed(name, "")
        metrics.units_admitted(name, "chat", Reason.LEASED, 1)
    page = (await Exposition(metrics.parts).render(""))[0].decode()
    orgs = [line for line in page.splitlines() if line.startswith("bb_sidecar_quota_used_units{")]
    assert len(orgs) == 100
    assert 'upstream_errors_total{kind="other"} 9600.0' in page
    assert sum(page.count(f"{m.name}{{") for m in METRICS if not m.buckets) < 6000


def test_routes_past_the_bound_are_counted_together() -> None:
    """Nothing is lost, only its name."""
    metrics = Metrics(build=BUILD)
    for number in range(2100):
        metrics.units_admitted("ai_calls", f"n{number}", Reason.LEASED, 1)
        metrics.request_finished(decided(Reason.LEASED, f"n{number}"), 200, 0.1, 0.1)
    assert sum(metrics.snapshot().histograms["overhead_seconds"]["other",].counts) == 100


def test_reasons_past_the_bound_of_a_route_are_other() -> None:
    """A verdict is not guessed for them."""
    metrics = Metrics(build=BUILD)
    series = metrics._first("chat")
    for number in range(500):
        series.answers.add((Reason.BLOCKED, str(number)))
    assert values(metrics, "requests_total")["chat", "other", "other", "other"] == 100
