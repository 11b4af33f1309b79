"""What a client is answered when the call was allowed and the product gave no answer. Pure."""

from __future__ import annotations

from typing import Final, assert_never

import orjson

from sidecar.answers.refusals import Refusal
from sidecar.domain.model import Decision, ErrorFormat
from sidecar.http1.errors import PeerFailure

_UNREACHED: Final = (502, "upstream_unreachable", "The product could not be reached.")
_NO_ANSWER: Final = (502, "upstream_failed", "The product ended the connection without an answer.")
_BROKEN: Final = (502, "upstream_failed", "The product's answer could not be read.")
_LATE: Final = (504, "upstream_timeout", "The product did not answer in time.")
_FULL: Final = (503, "upstream_busy", "The product has no free connection.")
_FAULT: Final = (500, "internal_error", "The sidecar failed; its log says why.")


def upstream_failure(decision: Decision, kind: PeerFailure) -> Refusal:
    """Make the 502, 503 or 504 for a peer failure (RFC 9110, 15.6.3 to 15.6.5)."""
    match kind:
        case PeerFailure.CONNECT | PeerFailure.TLS:
            return _answer(decision, *_UNREACHED)
        case PeerFailure.CONNECT_TIMEOUT | PeerFailure.FIRST_BYTE_TIMEOUT:
            return _answer(decision, *_LATE)
        case PeerFailure.IDLE_TIMEOUT:
            return _answer(decision, *_LATE)
        case PeerFailure.POOL_EXHAUSTED:
            return _answer(decision, *_FULL)
        case PeerFailure.CLOSED_EARLY | PeerFailure.CUT_OFF:
            return _answer(decision, *_NO_ANSWER)
        case PeerFailure.PROTOCOL:
            return _answer(decision, *_BROKEN)
        case _:
            assert_never(kind)


def fault(decision: Decision) -> Refusal:
    """Make the 500 for a fault of our own."""
    return _answer(decision, *_FAULT)


def _answer(decision: Decision, status: int, code: str, detail: str) -> Refusal:
    request_id = decision.request_id
    media = b"application/json"
    body: dict[str, object]
    match decision.errors:
        case ErrorFormat.PROBLEM:
            media = b"application/problem+json"
            body = {
                "type": f"urn:bizbasics:sidecar:problem:{code}",
                "title": code.replace("_", " ").capitalize(),
                "status": status,
                "detail": detail,
                "instance": request_id,
            }
        case ErrorFormat.OPENAI:
            body = {
                "error": {"message": detail, "type": "server_error", "param": None, "code": code}
            }
        case ErrorFormat.ANTHROPIC:
            error = {"type": "api_error", "message": detail}
            body = {"type": "error", "error": error, "request_id": request_id}
        case _:
            assert_never(decision.errors)
    fields = (
        (b"Content-Type", media),
        (b"Cache-Control", b"no-store"),
        (b"X-Request-ID", request_id.encode("ascii")),
    )
    return Refusal(status, fields, orjson.dumps(body))
