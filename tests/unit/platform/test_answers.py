"""Every answer to consume has its outcome (conformance 35)."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.model import Charge
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome, Quota, Refused
from sidecar.platform.answers import read_answer

CHARGE: Final = Charge("org_acme", "acme-notes", "ai_calls", 1, "key", private=True)
ANSWER: Final[dict[str, Any]] = {
    "allowed": True,
    "used": 12,
    "limit": 25,
    "remaining": 13,
    "resource": "ai_calls",
    "period": "month",
    "reset_at": "2025-11-01T00:00:00Z",
}
MALFORMED: Final = Failed(FailureKind.MALFORMED)
JSON: Final = "application/json"


def read(**changes: object) -> Outcome:
    """Read a 200 with the usual answer and these members instead."""
    return read_answer(200, JSON, json.dumps({**ANSWER, **changes}).encode(), CHARGE)


def test_grant() -> None:
    """The contract's example is a grant."""
    quota = Quota("ai_calls", 25, 12, 13, "month", 1_761_955_200.0)
    assert read() == Granted(quota)


def test_refusal() -> None:
    """Over the limit is a 200 that says no."""
    quota = Quota("ai_calls", 25, 25, 0, "month", 1_761_955_200.0)
    assert read(allowed=False, used=25, remaining=0) == Refused(quota)


@pytest.mark.parametrize("remaining", [0, -1, -5])
def test_a_refusal_may_have_used_more_than_the_limit(remaining: int) -> None:
    """The contract allows both: it is no outage."""
    quota = Quota("ai_calls", 25, 30, 0, "month", 1_761_955_200.0)
    assert read(allowed=False, used=30, remaining=remaining) == Refused(quota)


def test_a_time_without_an_offset_is_utc() -> None:
    """As the contract says."""
    assert read(reset_at="2025-11-01T00:00:00") == read()


@pytest.mark.parametrize(
    ("changes", "cause", "detail"),
    [
        ({"reset_at": "soon"}, "reset_at", "reset_at is 'soon'"),
        ({"remaining": 26}, "remaining", "remaining is 26"),
        ({"resource": "api_calls"}, "resource", "resource is 'api_calls'"),
        ({"allowed": 1}, "allowed", "allowed is 1"),
        ({"allowed": False, "limit": -1, "remaining": -1}, "limit",
         "the call is refused, and the quota is unlimited"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_malformed_is_named(changes: dict[str, object], cause: str, detail: str) -> None:
    """For the log: the field, and its value in short."""
    outcome = read(**changes)
    assert isinstance(outcome, Failed)
    assert (outcome.cause, outcome.detail) == (cause, detail)
    missing = read_answer(200, JSON, b'{"resource":"ai_calls","allowed":true}', CHARGE)
    assert isinstance(missing, Failed)
    assert missing.detail == "limit is missing"


def test_unlimited_is_a_grant() -> None:
    """Unlimited is granted here; whether it is the store being down is the engine's to tell."""
    outcome = read(limit=-1, remaining=-1)
    assert isinstance(outcome, Granted)
    assert outcome.quota.unlimited


def test_refused_though_unlimited() -> None:
    """A refusal without a limit contradicts itself."""
    assert read(allowed=False, limit=-1, remaining=-1) == MALFORMED


def test_unknown_members_are_ignored() -> None:
    """The platform may add members."""
    assert isinstance(read(request_id="r1"), Granted)


@pytest.mark.parametrize("member", ANSWER)
def test_missing_member(member: str) -> None:
    """An answer without one of its members is not to be trusted."""
    rest = {name: value for name, value in ANSWER.items() if name != member}
    assert read_answer(200, JSON, json.dumps(rest).encode(), CHARGE) == MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"allowed": None},
        {"allowed": 1},
        {"allowed": "true"},
        {"allowed": []},
        {"used": True},
        {"used": "12"},
        {"used": -1},
        {"used": 1.5},
        {"limit": None},
        {"limit": -2, "remaining": -2},
        {"limit": -1},
        {"remaining": -1},
        {"remaining": -13},
        {"remaining": 26},
        {"resource": "api_calls"},
        {"resource": None},
        {"resource": ["ai_calls"]},
        {"period": 1},
        {"reset_at": "soon"},
        {"reset_at": 1761955200},
    ],
    ids=str,
)
def test_wrong_member(changes: dict[str, object]) -> None:
    """A member of another type, an impossible number, another resource: malformed."""
    assert read(**changes) == MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"true",
        b'"allowed"',
        b"<!doctype html><title>502</title>",
        json.dumps(ANSWER).encode()[:-1],
        json.dumps(ANSWER).encode()[:40],
        json.dumps(ANSWER).encode() * 2,
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_body_that_is_no_answer(body: bytes) -> None:
    """HTML, half an answer, two answers: malformed."""
    assert read_answer(200, JSON, body, CHARGE) == MALFORMED


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/jsonp", ";"])
def test_other_content_type(content_type: str) -> None:
    """An answer that says it is no JSON is taken at its word."""
    body = json.dumps(ANSWER).encode()
    assert read_answer(200, content_type, body, CHARGE) == MALFORMED


@pytest.mark.parametrize(
    "content_type", ["", JSON, "application/json; charset=utf-8", "Application/JSON ;x=y"]
)
def test_json_content_type(content_type: str) -> None:
    """JSON is recognised with parameters and in any case, and may be left unsaid."""
    body = json.dumps(ANSWER).encode()
    assert isinstance(read_answer(200, content_type, body, CHARGE), Granted)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FailureKind.CREDENTIAL_REFUSED),
        (403, FailureKind.FORBIDDEN),
        (404, FailureKind.NOT_FOUND),
        (409, FailureKind.CONFLICT),
        (422, FailureKind.UNPROCESSABLE),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (502, FailureKind.SERVER_ERROR),
        (503, FailureKind.SERVER_ERROR),
        (599, FailureKind.SERVER_ERROR),
        (100, FailureKind.UNEXPECTED_STATUS),
        (201, FailureKind.UNEXPECTED_STATUS),
        (204, FailureKind.UNEXPECTED_STATUS),
        (302, FailureKind.UNEXPECTED_STATUS),
        (400, FailureKind.UNEXPECTED_STATUS),
        (418, FailureKind.UNEXPECTED_STATUS),
        (600, FailureKind.UNEXPECTED_STATUS),
    ],
)
def test_status(status: int, kind: FailureKind) -> None:
    """Any status but 200 is a failure of its own kind, even over a body that grants."""
    body = json.dumps(ANSWER).encode()
    assert read_answer(status, JSON, body, CHARGE) == Failed(kind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(ANSWER)), json_values))
def test_only_a_boolean_true_grants(changes: dict[str, Any]) -> None:
    """Whatever the members hold, a grant has `allowed: true` and numbers that fit together."""
    outcome = read(**changes)
    if isinstance(outcome, Granted):
        quota = outcome.quota
        assert {**ANSWER, **changes}["allowed"] is True
        assert quota.limit == quota.remaining == -1 or 0 <= quota.remaining <= quota.limit


@given(status=st.integers(0, 999), content_type=st.text(), body=st.binary())
def test_nothing_raises(status: int, content_type: str, body: bytes) -> None:
    """Random bytes are an outcome, never an exception, and never a grant."""
    assert isinstance(read_answer(status, content_type, body, CHARGE), Failed)
