"""Answers in place of a product that gave none."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from sidecar.answers.failures import fault, upstream_failure
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.model import Decision, Reason
from sidecar.http1.errors import PeerFailure
from tests.unit.answers.shown import as_text
from tests.unit.answers.test_refusals import LEFT, NOW, allowed
from tests.unit.golden.compare import assert_golden

DECISION = Decision(Reason.UNMETERED, "chat", "req-7f3a", None)


@pytest.mark.parametrize("errors", ErrorFormat)
@pytest.mark.parametrize("kind", PeerFailure)
def test_a_failure_reads_as_its_golden_file_says(kind: PeerFailure, errors: ErrorFormat) -> None:
    """Status (RFC 9110, 15.6), fields and body of each failure in each format are API."""
    answer = upstream_failure(dataclasses.replace(DECISION, errors=errors), kind, NOW)
    assert_golden(f"failures/{kind.value}.{errors.value}.txt", as_text(answer))


@pytest.mark.parametrize("errors", ErrorFormat)
def test_a_fault_of_ours_reads_as_its_golden_file_says(errors: ErrorFormat) -> None:
    """A 500 names the request, so that the log can be searched, and no cause."""
    answer = fault(dataclasses.replace(DECISION, errors=errors))
    assert_golden(f"failures/fault.{errors.value}.txt", as_text(answer))


@pytest.mark.parametrize(
    ("kind", "retry_after"),
    [(PeerFailure.POOL_EXHAUSTED, [b"1"]), (PeerFailure.CONNECT, [])],
)
def test_only_a_busy_product_is_worth_a_wait(kind: PeerFailure, retry_after: list[bytes]) -> None:
    """A connection becomes free; how long a broken product stays broken is not known."""
    answer = upstream_failure(DECISION, kind, NOW)
    assert [value for name, value in answer.headers if name == b"Retry-After"] == retry_after


def test_a_failed_call_shows_the_quota_that_it_was_admitted_by() -> None:
    """It was allowed, and the platform's answer is valid."""
    answer = upstream_failure(allowed(Reason.WITHIN_QUOTA, LEFT), PeerFailure.CONNECT, NOW)
    assert dict(answer.headers)[b"RateLimit-Policy"] == b'"ai_calls";q=25;w=2592000'


def test_a_failed_call_is_marked() -> None:
    """As the product's own answer would be."""
    answer = upstream_failure(allowed(Reason.FAIL_OPEN, None), PeerFailure.CUT_OFF, NOW)
    assert dict(answer.headers)[b"X-Quota-Decision"] == b"fail_open"


def test_a_request_id_of_any_text_is_written() -> None:
    """A fault has to be answered whatever it met."""
    answer = fault(dataclasses.replace(DECISION, request_id="a\udc80\n"))
    assert dict(answer.headers)[b"X-Request-ID"] == b"a??"
    assert orjson.loads(answer.body)["instance"] == "a?\n"
