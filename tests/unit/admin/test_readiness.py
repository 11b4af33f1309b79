from __future__ import annotations

import dataclasses

import pytest

from sidecar.admin.readiness import Circumstances, assess
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.seen import Seen

OPEN = frozenset({OnPlatformError.FAIL_OPEN})
LAST = frozenset({OnPlatformError.LAST_KNOWN})
CLOSED = frozenset({OnPlatformError.FAIL_CLOSED})
WELL = Circumstances(
    draining=False,
    policy_problem="",
    platform_problem="",
    journal_problem="",
    keys=2,
    keys_problem="",
    keys_needed=True,
    modes=OPEN,
)


def ready(**changes: object) -> bool:
    """Whether WELL with these changes is ready."""
    checks = assess(dataclasses.replace(WELL, **changes))  # type: ignore[arg-type]
    return all(check.ok for check in checks.values())


def detail(name: str, **changes: object) -> str:
    """What WELL with these changes tells of one dependency."""
    return assess(dataclasses.replace(WELL, **changes))[name].detail  # type: ignore[arg-type]


def test_all_well_is_ready() -> None:
    """The common case."""
    assert ready()


@pytest.mark.parametrize("modes", [CLOSED, CLOSED | OPEN])
def test_a_platform_that_the_next_call_asks_again_is_ready(
    modes: frozenset[OnPlatformError],
) -> None:
    """Only calls find out whether it is back: kept away for ever, they never would."""
    assert ready(platform_problem="breaker open", platform_probe_due=True, modes=modes)
    assert "the next call" in detail(
        "platform", platform_problem="breaker open", platform_probe_due=True, modes=modes
    )


def test_draining_is_unready() -> None:
    """No new traffic while requests finish."""
    assert not ready(draining=True)


@pytest.mark.parametrize("modes", [frozenset(), OPEN, LAST, OPEN | LAST])
def test_a_platform_down_is_ready_while_every_metered_route_can_answer(
    modes: frozenset[OnPlatformError],
) -> None:
    """Open and last_known routes answer by themselves; nothing metered needs no platform."""
    assert ready(platform_problem="breaker open", modes=modes)


@pytest.mark.parametrize("modes", [CLOSED, CLOSED | OPEN, CLOSED | LAST])
def test_a_platform_down_is_unready_where_a_route_fails_closed(
    modes: frozenset[OnPlatformError],
) -> None:
    """That route cannot answer, so not every metered route can."""
    assert not ready(platform_problem="breaker open", modes=modes)


def test_a_platform_down_is_named_with_its_last_failure() -> None:
    """An operator reads here why, not only that calls no longer ask it."""
    seen = Seen(asked=True, problem="the last call failed: connect: p:443: Connection refused")
    told = detail("platform", platform_problem="the breaker is not closed", platform_seen=seen)
    assert told.endswith(
        "the breaker is not closed; the last call failed: connect: p:443: Connection refused"
    )


def test_a_rejected_policy_is_ready_and_told() -> None:
    """The last good one rules; the detail says what is wrong."""
    assert ready(policy_problem="policy.yaml:3:1: unknown key")
    assert "policy.yaml:3:1" in detail("policy", policy_problem="policy.yaml:3:1: unknown key")


def test_no_keys_yet_is_unready_where_calls_need_them() -> None:
    """Every metered call would get 503."""
    assert not ready(keys=0)


@pytest.mark.parametrize("changes", [{"keys_needed": False}, {"modes": frozenset()}])
def test_no_keys_yet_is_ready_where_calls_can_do_without(changes: dict[str, object]) -> None:
    """The product's own session cookie, or nothing metered at all."""
    assert ready(keys=0, **changes)


def test_last_good_keys_are_enough() -> None:
    """An auth host that is down costs nothing until tokens are signed with a new key."""
    assert ready(keys_problem="timed out")
    assert "timed out" in detail("keys", keys_problem="timed out")


def test_a_journal_that_cannot_be_written_is_ready_while_the_platform_answers() -> None:
    """Nothing needs to be remembered then; the detail warns."""
    assert ready(journal_problem="disk full")
    assert "disk full" in detail("journal", journal_problem="disk full")


@pytest.mark.parametrize("modes", [OPEN, LAST])
def test_a_journal_that_cannot_be_written_is_unready_while_the_platform_is_down(
    modes: frozenset[OnPlatformError],
) -> None:
    """What cannot be remembered cannot be let through."""
    assert not ready(journal_problem="disk full", platform_problem="down", modes=modes)


def test_redis_keeps_nobody_away() -> None:
    """Without it every call is answered; the detail tells what is lost."""
    assert ready(redis_problem="ConnectionError")
    assert "in this process alone: ConnectionError" in detail(
        "redis", redis_problem="ConnectionError"
    )
    assert "by all replicas" in detail("redis", redis_problem="")


def test_every_dependency_is_told_of() -> None:
    """Names in the answer are API; what is not there is not named."""
    always = ["drain", "policy", "keys", "platform", "journal", "tokens", "upstream"]
    assert list(assess(WELL)) == always
    assert list(assess(dataclasses.replace(WELL, redis_problem=""))) == [*always, "redis"]
