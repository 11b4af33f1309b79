"""What an observer has seen of each dependency, and the one line for each likely mistake."""

from __future__ import annotations

import logging

import pytest

from sidecar.domain.choices import Refund
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Decision, Permit, Reason
from sidecar.domain.quota import Failed, FailureKind
from sidecar.domain.seen import UNASKED, WELL
from sidecar.http1.errors import PeerFailure
from sidecar.telemetry.observer import Observer

PERMIT = Permit("id", "r", None, paid=False, refund=Refund.NEVER, claim=None)


@pytest.fixture
def observer(caplog: pytest.LogCaptureFixture) -> Observer:
    """Make one that logs."""
    caplog.set_level(logging.INFO, logger="sidecar.events")
    return Observer(build=("0", "abc123", "3.13.0", "pure"))


def test_at_first_nothing_was_asked(observer: Observer) -> None:
    """No dependency counts as good before a call has used it."""
    seen = {observer.platform_seen, observer.tokens_seen, observer.upstream_seen}
    assert seen == {UNASKED}


@pytest.mark.parametrize("kind", PeerFailure)
def test_each_failure_of_the_product_names_its_cause_and_a_fix(
    kind: PeerFailure, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and in readiness."""
    observer.upstream_failed(kind, "content-length is given twice")
    (record,) = caplog.records
    assert record.message in {"upstream_unreachable", "upstream_failed"}
    assert record.__dict__["error"] == "content-length is given twice"
    assert record.__dict__["hint"]
    assert "content-length is given twice" in observer.upstream_seen.problem


def test_the_product_answers_again(observer: Observer) -> None:
    """An answer of the product ends its problem; our own 502 does not."""
    observer.upstream_failed("connect", "refused")
    allowed = Decision(Reason.UNMETERED, "r", "id", PERMIT)
    observer.request_finished(allowed, 502, 0.1)
    assert observer.upstream_seen.problem
    observer.request_finished(allowed, 200, 0.1)
    assert observer.upstream_seen == WELL


def test_a_refusal_is_no_answer_of_the_product(observer: Observer) -> None:
    """It was never asked."""
    observer.request_finished(Decision(Reason.BLOCKED, "r", "id", None, 403), 403, 0.1)
    assert observer.upstream_seen == UNASKED


def test_a_wrong_issuer_is_one_line_with_the_setting(
    observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    """Else all that shows is a 401 for every caller."""
    observer.identity_failed(IdentityFailure.WRONG_ISSUER)
    (record,) = caplog.records
    assert record.message == "tokens_refused"
    assert "--issuer" in record.__dict__["hint"]
    assert "--issuer" in observer.tokens_seen.problem


def test_a_bad_token_is_no_mistake_of_the_setup(
    observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    """Anyone can send one."""
    observer.identity_failed(IdentityFailure.BAD_SIGNATURE)
    assert (observer.tokens_seen, caplog.records) == (UNASKED, [])


def test_once_a_token_was_accepted_a_foreign_one_changes_nothing(observer: Observer) -> None:
    """The setup is right then."""
    observer.units_admitted("ai_calls", "r", Reason.WITHIN_QUOTA, 1)
    observer.identity_failed(IdentityFailure.WRONG_ISSUER)
    assert observer.tokens_seen == WELL


def test_what_passes_in_shadow_shows_no_accepted_token(observer: Observer) -> None:
    """It passes without an identity too."""
    observer.units_admitted("ai_calls", "r", Reason.SHADOW, 0)
    assert observer.tokens_seen == UNASKED


def test_a_refused_key_is_what_was_seen_of_the_platform(observer: Observer) -> None:
    """With the variable that holds it; a valid answer ends it."""
    observer.consume_finished("credential_refused", 0.1)
    assert "PLATFORM_INTERNAL_KEY" in observer.platform_seen.problem
    observer.consume_finished("granted", 0.1)
    assert observer.platform_seen == WELL


def test_a_platform_that_is_not_reached_is_seen_with_its_cause(observer: Observer) -> None:
    """Such as the TLS error."""
    observer.consume_failed(Failed(FailureKind.CONNECT, "tls", "certificate has expired"))
    observer.consume_finished("connect", 0.1)
    assert "certificate has expired" in observer.platform_seen.problem


def test_an_open_breaker_does_not_hide_the_cause(observer: Observer) -> None:
    """The platform was not asked then: what was seen last is why."""
    observer.consume_failed(Failed(FailureKind.CONNECT, "connect", "p:443: Connection refused"))
    observer.consume_finished("connect", 0.1)
    observer.consume_finished("breaker_open", 0.0)
    said = "the last call failed: connect: p:443: Connection refused"
    assert observer.platform_seen.problem == said


def test_our_own_lateness_shows_nothing_of_the_platform(observer: Observer) -> None:
    """It may have answered well."""
    observer.consume_finished("overloaded", 0.1)
    assert observer.platform_seen == UNASKED
