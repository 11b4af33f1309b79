from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from sidecar.domain.choices import OnReplay
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Charge, Decision, Loss, Reason, Unreported
from sidecar.domain.quota import Failed, FailureKind, Quota
from sidecar.telemetry.observer import Observer


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """Give the events logged so far, as level and name."""
    caplog.set_level(logging.DEBUG, logger="sidecar.events")
    return lambda: [(record.levelname, record.message) for record in caplog.records]


def test_a_request_is_no_event(events: Callable[[], list[tuple[str, str]]]) -> None:
    """Not one line a request, whatever its outcome."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    for reason in Reason:
        observer.request_finished(Decision(reason, "r", "id", None), 200, 0.1)
    observer.replay_seen(OnReplay.REJECT)
    observer.platform_degraded(FailureKind.TIMEOUT)
    assert events() == []


def test_an_outage_is_one_event(events: Callable[[], list[tuple[str, str]]]) -> None:
    """However many orgs it meets."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    for org in ("a", "b", "c"):
        charge = Charge(org, "p", "ai_calls", 1, "k", private=True)
        observer.admitted_unconfirmed(charge, FailureKind.TIMEOUT, first=True)
    assert events() == [("WARNING", "fail_open_started")]


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.CREDENTIAL_REFUSED,
        FailureKind.FORBIDDEN,
        FailureKind.NOT_FOUND,
        FailureKind.UNPROCESSABLE,
    ],
)
def test_what_waiting_does_not_mend_is_an_error(
    kind: FailureKind,
    events: Callable[[], list[tuple[str, str]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what does mend it, and counted as well."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    observer.platform_degraded(kind)
    assert events() == [("ERROR", "platform_refuses")]
    assert caplog.records[0].__dict__["hint"]
    assert observer.snapshot().values["platform_degraded_total"][kind.value,] == 1


def test_a_cause_is_logged_when_it_changes(
    events: Callable[[], list[tuple[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    """And again after the platform has answered; with what to do about it."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    tls = Failed(FailureKind.CONNECT, "tls", "certificate has expired")
    answer = Failed(FailureKind.MALFORMED, "reset_at", "reset_at is 'soon'")
    for failed in (tls, tls, answer, answer):
        observer.consume_failed(failed)
    observer.quota_seen("a", Quota("ai_calls", 25, 12, 13, "month", 1.0))
    observer.consume_failed(answer)
    assert [name for _, name in events()] == [
        "platform_not_reached", "platform_malformed", "platform_malformed"
    ]  # fmt: skip
    first, second, _ = (record.__dict__ for record in caplog.records)
    assert (first["cause"], first["detail"]) == ("tls", "certificate has expired")
    assert "CA" in first["hint"]
    assert (second["field"], second["detail"]) == ("reset_at", "reset_at is 'soon'")


def test_the_journal_s_fate_is_told(events: Callable[[], list[tuple[str, str]]]) -> None:
    """What was billed later, and what never will be."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    observer.journal_replayed("unknown", 5)
    observer.journal_replayed("counted", 5)
    observer.journal_dropped(2, Unreported.STOPPED)
    observer.credits_lost(3, Loss.DISPLACED)
    assert events() == [
        ("INFO", "journal_not_reported"), ("INFO", "journal_replayed"),
        ("ERROR", "journal_dropped"), ("WARNING", "credits_lost"),
    ]  # fmt: skip


def test_lost_units_are_logged_with_their_cause_and_a_hint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An operator must not have to guess which of the four it was."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    for cause in Unreported:
        observer.journal_dropped(2, cause)
    lines = [(record.__dict__["cause"], record.__dict__["hint"]) for record in caplog.records]
    assert [cause for cause, _ in lines] == [cause.value for cause in Unreported]
    assert all(hint for _, hint in lines)


def test_keys_are_told_when_they_change_or_cannot_be_had(
    events: Callable[[], list[tuple[str, str]]],
) -> None:
    """Not at each refresh."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    observer.keys_refreshed("ok", 2)
    observer.keys_refreshed("ok", 2)
    observer.keys_refreshed("timeout", 2)
    assert events() == [("INFO", "keys_changed"), ("WARNING", "keys_not_refreshed")]


def test_a_mistake_of_the_setup_is_logged_with_the_setting_to_fix(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong --upstream, issuer, auth host or key: one line each that names the flag."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    observer.upstream_failed("connect", "127.0.0.1:9: Connection refused")
    observer.identity_failed(IdentityFailure.WRONG_ISSUER)
    observer.keys_refreshed("unreachable", 0, "could not be read: Connection refused")
    observer.platform_degraded(FailureKind.CREDENTIAL_REFUSED)
    flags = ("--upstream", "--issuer", "--auth-url", "--key-file")
    assert [
        (record.message, flag in record.__dict__["hint"])
        for record, flag in zip(caplog.records, flags, strict=True)
    ] == [
        ("upstream_unreachable", True), ("tokens_refused", True), ("keys_not_refreshed", True),
        ("platform_refuses", True),
    ]  # fmt: skip


def test_what_is_wrong_with_the_key_set_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A failed fetch with its cause; ignored keys once for each change."""
    observer = Observer(build=("0", "abc123", "3.13.0", "pure"))
    observer.keys_refreshed("too_large", 2, "answered with more than 262144 bytes")
    for detail in ("1 ignored (no 'use')", "1 ignored (no 'use')", "", "1 ignored (no 'use')"):
        observer.keys_refreshed("ok", 2, detail)
    told = [(record.message, record.__dict__["detail"]) for record in caplog.records]
    assert told == [
        ("keys_not_refreshed", "answered with more than 262144 bytes"),
        ("keys_ignored", "1 ignored (no 'use')"),
        ("keys_ignored", "1 ignored (no 'use')"),
    ]
