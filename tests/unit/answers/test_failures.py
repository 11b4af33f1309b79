"""Answers in place of a product that gave none."""

from __future__ import annotations

import orjson
import pytest

from sidecar.answers.failures import fault, upstream_failure
from sidecar.domain.model import Decision, ErrorFormat, Reason
from sidecar.http1.errors import PeerFailure


def decided(errors: ErrorFormat = ErrorFormat.PROBLEM) -> Decision:
    """Return a decision whose refusals have this format."""
    return Decision(Reason.UNMETERED, "route", "id-1", None, errors=errors)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (PeerFailure.CONNECT, 502),
        (PeerFailure.TLS, 502),
        (PeerFailure.CLOSED_EARLY, 502),
        (PeerFailure.CUT_OFF, 502),
        (PeerFailure.PROTOCOL, 502),
        (PeerFailure.POOL_EXHAUSTED, 503),
        (PeerFailure.CONNECT_TIMEOUT, 504),
        (PeerFailure.FIRST_BYTE_TIMEOUT, 504),
        (PeerFailure.IDLE_TIMEOUT, 504),
    ],
)
def test_status_says_whose_fault_it_was(kind: PeerFailure, status: int) -> None:
    """Bad gateway, no room, or too late (RFC 9110, 15.6)."""
    assert upstream_failure(decided(), kind).status == status


def test_problem_names_the_request() -> None:
    """A problem document has its type, its status and the request ID (RFC 9457)."""
    refusal = upstream_failure(decided(), PeerFailure.CONNECT)
    body = orjson.loads(refusal.body)
    assert (body["status"], body["instance"]) == (502, "id-1")
    assert body["type"] == "urn:bizbasics:sidecar:problem:upstream_unreachable"
    assert (b"Content-Type", b"application/problem+json") in refusal.headers


def test_openai_error_has_its_shape() -> None:
    """The SDK finds a server error with a code."""
    body = orjson.loads(upstream_failure(decided(ErrorFormat.OPENAI), PeerFailure.CUT_OFF).body)
    assert (body["error"]["type"], body["error"]["code"]) == ("server_error", "upstream_failed")


def test_anthropic_error_has_its_shape() -> None:
    """The SDK finds an API error with the request ID."""
    body = orjson.loads(upstream_failure(decided(ErrorFormat.ANTHROPIC), PeerFailure.CUT_OFF).body)
    assert (body["type"], body["error"]["type"], body["request_id"]) == (
        "error",
        "api_error",
        "id-1",
    )


@pytest.mark.parametrize("errors", list(ErrorFormat))
def test_a_fault_of_ours_tells_nothing_but_the_id(errors: ErrorFormat) -> None:
    """A 500 names the request, so that the log can be searched, and no cause."""
    refusal = fault(decided(errors))
    assert refusal.status == 500
    assert (b"X-Request-ID", b"id-1") in refusal.headers
    assert (b"Cache-Control", b"no-store") in refusal.headers
