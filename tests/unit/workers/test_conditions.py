"""What several workers are together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.admin.readiness import assess
from sidecar.domain.seen import Seen
from sidecar.workers.conditions import (
    PATIENCE_SECONDS,
    UNKNOWN,
    Absence,
    WorkerPlace,
    failure_of,
    workers_of,
    worst_of,
)

WELL = replace(UNKNOWN, keys=2, keys_problem="")
GONE = Absence(1_000_000_000.0, "it ended with status -9 and is being replaced")


def test_all_serve() -> None:
    """Nothing to report."""
    workers = workers_of([WorkerPlace(0), WorkerPlace(1)], draining=False)
    assert (workers.ok, workers.detail) == (True, "2 of 2 serve")


def test_a_worker_that_is_gone_is_named_and_the_others_take_its_calls() -> None:
    """Which one, since when and why; the kernel gives it no calls, so it keeps none away."""
    workers = workers_of([WorkerPlace(0), WorkerPlace(1, absent=GONE)], draining=False)
    assert workers.ok
    assert workers.detail == (
        "1 of 2 serve; worker 1 is gone since 2001-09-09T01:46:40Z:"
        " it ended with status -9 and is being replaced"
    )


def test_a_stuck_worker_is_unready() -> None:
    """The kernel still gives it its share of the calls, and they wait."""
    workers = workers_of(
        [WorkerPlace(0), WorkerPlace(1, silent_since=1_000_000_000.0)], draining=False
    )
    assert not workers.ok
    assert "worker 1 has not answered since 2001-09-09T01:46:40Z" in workers.detail


def test_no_worker_at_all_is_unready() -> None:
    """No call could be answered."""
    assert not workers_of([WorkerPlace(0, absent=GONE)], draining=False).ok


def test_in_a_drain_the_workers_may_end() -> None:
    """The drain is why it is unready, and the only reason."""
    workers = workers_of([WorkerPlace(0, absent=GONE), WorkerPlace(1, absent=GONE)], draining=True)
    now = replace(worst_of([]), draining=True, workers=workers)
    checks = assess(now)
    assert [name for name, check in checks.items() if not check.ok] == ["drain"]
    assert checks["workers"].detail == "0 of 2 serve"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("draining", True),
        ("policy_problem", "p"),
        ("platform_problem", "p"),
        ("journal_problem", "p"),
        ("redis_problem", "p"),
    ],
)
def test_the_worst_of_all_counts(name: str, value: object) -> None:
    """Whichever worker reports it."""
    bad = replace(WELL, **{name: value})  # type: ignore[arg-type]
    for known in ([bad, WELL], [WELL, bad]):
        assert getattr(worst_of(known), name) == value
    assert getattr(worst_of([WELL, WELL]), name) != value


def test_the_smallest_key_set_counts() -> None:
    """That worker refuses what the others admit."""
    assert worst_of([WELL, replace(WELL, keys=0, keys_problem="x")]).keys_problem == "x"


def test_failed_is_what_has_no_worker_for_long() -> None:
    """Gone or stuck, all of them, for a minute since the last one was lost."""
    places = [WorkerPlace(0, absent=Absence(50.0, "")), WorkerPlace(1, silent_since=100.0)]
    assert failure_of(places, 100.0 + PATIENCE_SECONDS - 1) == ""
    assert "1970-01-01T00:01:40Z" in failure_of(places, 100.0 + PATIENCE_SECONDS)
    assert failure_of([*places, WorkerPlace(2)], 10_000.0) == ""


def test_a_failure_that_one_worker_has_seen_is_in_the_report() -> None:
    """Each worker sees its own calls; a problem of one is a problem."""
    wrong = Seen(asked=True, problem="its last answer was credential_refused")
    checks = assess(worst_of([WELL, replace(WELL, platform_seen=wrong)]))
    assert checks["platform"].detail == wrong.problem
