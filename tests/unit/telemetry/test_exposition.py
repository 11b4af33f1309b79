from __future__ import annotations

import asyncio
import gzip

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.domain.choices import OnReplay
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Decision, Reason, Unreported
from sidecar.domain.quota import FailureKind, Quota
from sidecar.domain.usage import MissingCause, Settled, Tokens
from sidecar.telemetry.catalogue import METRICS, PREFIX
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.observer import Observer
from sidecar.telemetry.slices import SLICE
from sidecar.telemetry.snapshot import Snapshot
from tests.fakes.turns import spend_a_budget_each
from tests.unit.golden.compare import assert_golden


def busy() -> Observer:
    """Metrics with at least one series each, of made-up values."""
    metrics = Observer(build=("0.1.0", "abc123", "3.13.0", "pure"))
    metrics.request_finished(Decision(Reason.WITHIN_QUOTA, "chat", "r", None), 200, 0.042, 0.0012)
    metrics.request_finished(Decision(Reason.OVER_QUOTA, "chat", "r", None), 429, 0.0004)
    metrics.request_finished(Decision(Reason.UNMETERED, "rest", "r", None), 0, 400.0)
    metrics.units_admitted("ai_calls", "chat", Reason.WITHIN_QUOTA, 5)
    metrics.identity_failed(IdentityFailure.EXPIRED)
    metrics.platform_degraded(FailureKind.TIMEOUT)
    metrics.replay_seen(OnReplay.CHARGE)
    quota = Quota("ai_calls", 25, 12, 13, "month", 0.0)
    metrics.read_quotas_at_scrape(lambda _: [("org_acme", quota)])
    metrics.journal_replayed("counted", 3)
    metrics.journal_dropped(1, Unreported.EXPIRED)
    metrics.lease_requested("granted")
    metrics.usage_read("chat", Tokens(120, 30, 0, 45))
    metrics.usage_missing("chat", MissingCause.CUT)
    metrics.units_settled("ai_calls", "chat", Settled.COUNTED, 4)
    metrics.consume_finished("granted", 0.003)
    metrics.consume_finished("timeout", 0.25)
    metrics.keys_refreshed("ok", 2)
    metrics.upstream_failed("connect", "refused")
    metrics.connection_closed("slow_head")
    metrics.event_received("applied")
    metrics.notice_ended("published")
    metrics.policy_reloaded("loaded")
    metrics.read_at_scrape("platform_breaker_state", lambda: 0)
    metrics.read_at_scrape("journal_pending_units", lambda: 4)
    metrics.read_at_scrape("journal_oldest_seconds", lambda: 1.5)
    metrics.read_at_scrape("journal_unwritable", lambda: 0)
    metrics.read_at_scrape("journal_damaged_bytes", lambda: 0)
    metrics.read_at_scrape("lease_units", lambda: {("held",): 10})
    metrics.read_at_scrape("credits_units", lambda: 2)
    metrics.read_at_scrape("held_units", lambda: {("ai_calls",): 7})
    metrics.read_at_scrape("inflight_requests", lambda: 3)
    metrics.read_at_scrape("open_connections", lambda: 6)
    metrics.read_at_scrape("fail_open_budget_spent_ratio", lambda: 0.25)
    metrics.read_at_scrape("jwks_age_seconds", lambda: 12.5)
    metrics.read_at_scrape("policy_last_reload_successful", lambda: 1)
    metrics.read_at_scrape("attempts_shared", lambda: 1)
    metrics.read_at_scrape("policy_info", lambda: {("1", "abc123"): 1})
    return metrics


async def test_the_page_reads_as_its_golden_file_says() -> None:
    """Names, labels, help and types of all metrics are API."""
    page = (await Exposition(busy().parts).render(""))[0].decode()
    ours = [line for line in page.splitlines() if PREFIX in line]
    assert_golden("metrics.txt", "\n".join(ours) + "\n")


async def test_every_metric_has_a_series_in_the_golden_file() -> None:
    """Else its labels could change unseen."""
    page = (await Exposition(busy().parts).render(""))[0].decode()
    families = {family.name: family for family in parse_text(page)}
    for metric in METRICS:
        samples = families[PREFIX + metric.name.removesuffix("_total")].samples
        assert set(metric.labels) == set(samples[0].labels) - {"le"}


async def test_buckets_are_cumulative() -> None:
    """As the format wants them, with +Inf for all."""
    page = (await Exposition(busy().parts).render(""))[0].decode()
    assert 'consume_duration_seconds_bucket{le="0.0025"} 0.0' in page
    assert 'consume_duration_seconds_bucket{le="0.005"} 1.0' in page
    assert 'consume_duration_seconds_bucket{le="+Inf"} 2.0' in page
    assert "bb_sidecar_consume_duration_seconds_count 2.0" in page


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "text/plain;version=x"])
async def test_text_is_what_is_served_unless_asked_otherwise(accept: str) -> None:
    """Whatever the field holds: it is never repeated."""
    page, content_type, _ = await Exposition(busy().parts).render(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert list(parse_text(page.decode()))


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=1.0.0, text/plain;q=0.5",
        "application/openmetrics-text; version=9.x\x00",
    ],
)
async def test_openmetrics_is_served_when_asked_for(accept: str) -> None:
    """Its strict parser takes it."""
    page, content_type, _ = await Exposition(busy().parts).render(accept)
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert page.endswith(b"# EOF\n")
    families = parse_openmetrics(page.decode())  # type: ignore[no-untyped-call]  # not typed there
    assert list(families)


@pytest.mark.parametrize("name", ["process_open_fds", "python_gc_collections_total", "python_info"])
async def test_the_process_itself_is_shown(name: str) -> None:
    """Memory, descriptors, collections: the usual dashboards work."""
    assert f"\n{name}" in (await Exposition(busy().parts).render(""))[0].decode()


async def test_two_expositions_do_not_share_a_registry() -> None:
    """Tests, and several sidecars in one process, stand side by side."""
    first, second = (
        Metrics(build=("1", "abc123", "3.13.0", "pure")),
        Metrics(build=("2", "abc123", "3.13.0", "pure")),
    )
    pages = [(await Exposition(metrics.parts).render(""))[0] for metrics in (first, second)]
    assert [b'version="1"' in page for page in pages] == [True, False]


async def test_label_values_are_escaped() -> None:
    """A route's name is the policy's, and may hold anything."""
    metrics = Metrics(build=("0", "abc123", "3.13.0", "pure"))
    name = 'a"b\\c\nd'
    metrics.units_admitted("ai_calls", name, Reason.LEASED, 1)
    page = (await Exposition(metrics.parts).render(""))[0].decode()
    found = {
        sample.labels["route"]
        for family in parse_text(page)
        for sample in family.samples
        if sample.name == "bb_sidecar_units_total"
    }
    assert found == {name}


async def test_a_large_page_gives_the_loop_back_after_each_slice() -> None:
    """For taking the counts, and again for writing the lines: 1,000 routes are 34,000 lines."""
    metrics = Metrics(build=("0", "abc123", "3.13.0", "pure"))
    for number in range(1000):
        metrics.units_admitted("ai_calls", f"r{number}", Reason.WITHIN_QUOTA, 1)
        decision = Decision(Reason.WITHIN_QUOTA, f"r{number}", "q", None)
        metrics.request_finished(decision, 200, 0.01, 0.001)
    iterations = 0
    spend_a_budget_each()

    async def other_work() -> None:
        nonlocal iterations
        while True:
            iterations += 1
            await asyncio.sleep(0)

    working = asyncio.ensure_future(other_work())
    page, *_ = await Exposition(metrics.parts).render("")
    working.cancel()
    samples = len(page.splitlines())
    assert samples > 34_000
    assert iterations >= samples // SLICE


async def test_the_parts_of_several_workers_are_one_page() -> None:
    """Each metric combines as its kind says."""

    def parts() -> list[Snapshot]:
        return [busy().snapshot(), busy().snapshot()]

    page = (await Exposition(parts).render(""))[0].decode()
    assert "bb_sidecar_journal_dropped_units_total 2.0" in page
    assert "bb_sidecar_jwks_keys 2.0" in page


async def test_scrapes_that_meet_share_one_page() -> None:
    """However many scrape at once, the series are gone through once; the next scrape is new."""
    taken = 0

    def parts() -> list[Snapshot]:
        nonlocal taken
        taken += 1
        return [busy().snapshot()]

    exposition = Exposition(parts)
    pages = await asyncio.gather(*(exposition.render("text/plain") for _ in range(20)))
    assert taken == 1
    assert len(set(pages)) == 1
    await exposition.render("text/plain")
    assert taken == 2


async def test_a_packed_page_is_the_same_page() -> None:
    """In both formats; without a word about codings nothing is packed."""
    for accept in ("text/plain", "application/openmetrics-text"):
        exposition = Exposition(lambda: [busy().snapshot()])
        packed = await exposition.render(accept, "gzip")
        plain = await exposition.render(accept)
        assert (packed.coding, plain.coding) == ("gzip", "")
        assert packed.content_type == plain.content_type
        ours = [
            [line for line in page.splitlines() if PREFIX.encode() in line]
            for page in (gzip.decompress(packed.body), plain.body)
        ]
        assert ours[0] == ours[1]


async def test_a_scrape_that_is_given_up_takes_no_page_from_the_others() -> None:
    """A client that hangs up is cancelled alone."""
    exposition = Exposition(lambda: [busy().snapshot()])
    first, second = (asyncio.ensure_future(exposition.render("text/plain")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    page, *_ = await second
    assert page.startswith(b"# HELP")
