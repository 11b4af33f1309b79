"""Answers to allowed calls for which the product gave none. Pure."""

from __future__ import annotations

from typing import Final, assert_never

from sidecar.answers.refusals import quota_headers
from sidecar.answers.words import FailureCode
from sidecar.answers.writer import OwnAnswer, field_text, write_error
from sidecar.domain.model import Decision
from sidecar.http1.errors import PeerFailure

_UNREADABLE: Final = "The product's answer could not be read."
_BUSY_SECONDS: Final = 1.0


def upstream_failure(decision: Decision, kind: PeerFailure, now: float) -> OwnAnswer:
    """Make the 502, 503 or 504 for a peer failure (RFC 9110, 15.6.3 to 15.6.5)."""
    match kind:
        case PeerFailure.CONNECT | PeerFailure.TLS:
            status, code = 502, FailureCode.UPSTREAM_UNREACHABLE
        case (
            PeerFailure.CONNECT_TIMEOUT | PeerFailure.FIRST_BYTE_TIMEOUT | PeerFailure.IDLE_TIMEOUT
        ):
            status, code = 504, FailureCode.UPSTREAM_TIMEOUT
        case PeerFailure.POOL_EXHAUSTED:
            status, code = 503, FailureCode.UPSTREAM_BUSY
        case PeerFailure.CLOSED_EARLY | PeerFailure.CUT_OFF | PeerFailure.PROTOCOL:
            status, code = 502, FailureCode.UPSTREAM_FAILED
        case _:
            assert_never(kind)
    return write_error(
        status,
        code,
        _UNREADABLE if kind is PeerFailure.PROTOCOL else "",
        request_id=decision.request_id,
        errors=decision.errors,
        retry_after=_BUSY_SECONDS if kind is PeerFailure.POOL_EXHAUSTED else None,
        fields=quota_headers(decision, now),
    )


def fault(decision: Decision) -> OwnAnswer:
    """Make the 500 for a fault of our own; of the decision it uses only what cannot fail."""
    return write_error(
        500,
        FailureCode.INTERNAL_ERROR,
        "",
        request_id=decision.request_id,
        errors=decision.errors,
    )


def last_hop(decision: Decision, now: float) -> OwnAnswer:
    """Answer an OPTIONS that is to go no further than here (RFC 9110, 7.6.2)."""
    written_id = (b"X-Request-ID", field_text(decision.request_id))
    return OwnAnswer(200, (written_id, *quota_headers(decision, now)), b"")
