"""Our metrics in a product's registry: one of each name, however many engines there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.domain.model import Decision, Reason
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.registry import add_to
from sidecar.telemetry.snapshot import Snapshot

BUILD = ("0.1.0", "abc123", "3.13.0", "pure")


def metrics(calls: int = 1) -> Metrics:
    """Make metrics that have counted some calls."""
    found = Metrics(build=BUILD)
    for _ in range(calls):
        found.request_finished(Decision(Reason.WITHIN_QUOTA, "chat", "r", None), 200, 0.042)
        found.consume_finished("granted", 0.003)
    found.read_at_scrape("inflight_requests", lambda: 3)
    return found


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Read one sample."""
    return registry.get_sample_value(f"bb_sidecar_{name}", labels)


def test_counters_gauges_and_histograms_are_there() -> None:
    """With their names, labels and buckets."""
    registry = CollectorRegistry()
    add_to(registry, metrics().parts)
    call = {"route": "chat", "verdict": "allow", "reason": "within_quota", "code": "200"}
    assert value(registry, "requests_total", **call) == 1.0
    assert value(registry, "inflight_requests") == 3.0
    assert value(registry, "consume_duration_seconds_bucket", le="0.005") == 1.0
    assert value(registry, "consume_duration_seconds_sum") == pytest.approx(0.003)
    names = {family.name for family in text_string_to_metric_families(page(registry))}
    assert "bb_sidecar_requests" in names


def page(registry: CollectorRegistry) -> str:
    """Write what a scrape would get."""
    return generate_latest(registry).decode()


def test_two_engines_are_one_in_a_registry() -> None:
    """Two middlewares of one process add up, and one of them may end."""
    registry = CollectorRegistry()
    first, second = metrics(1), metrics(2)
    end = add_to(registry, first.parts)
    add_to(registry, second.parts)
    assert value(registry, "consume_requests_total", outcome="granted") == 3.0
    end()
    assert value(registry, "consume_requests_total", outcome="granted") == 2.0


def test_the_last_one_leaves_the_registry_as_it_was() -> None:
    """So an application can be made again in the same process."""
    registry = CollectorRegistry()
    for _ in range(2):
        add_to(registry, metrics().parts)()
        assert page(registry) == ""


def test_a_name_that_is_taken_is_refused() -> None:
    """Prometheus_client says which."""
    registry = CollectorRegistry()
    Counter("bb_sidecar_requests", "theirs", registry=registry)
    with pytest.raises(ValueError, match="bb_sidecar_requests"):
        add_to(registry, metrics().parts)


def test_a_scrape_in_a_thread_is_tried_again() -> None:
    """A dict may grow while it is read; the event loop does not wait for a scrape."""
    found, tries = metrics(), iter((True, True))

    def parts() -> Iterator[Snapshot]:
        if next(tries, False):
            raise RuntimeError("dictionary changed size during iteration")
        yield from found.parts()

    registry = CollectorRegistry()
    add_to(registry, parts)
    assert value(registry, "inflight_requests") == 3.0
