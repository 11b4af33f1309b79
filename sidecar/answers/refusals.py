"""What a caller sees of a decision: the refusal's status, headers and body, or an answer's marks.

Pure, and shared by all frontends. Sources: interface.md, "What a caller sees"; RFC 9457 (problem
details), RFC 9110 10.2.3 (Retry-After), RFC 6750 3 (WWW-Authenticate), RFC 9651 (structured
fields), draft-ietf-httpapi-ratelimit-headers (RateLimit); the error objects of the two AI APIs.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, assert_never

import orjson

from sidecar.answers.words import (
    anthropic_type,
    openai_code,
    openai_type,
    problem_type,
    reason_detail,
    reason_title,
)
from sidecar.domain.model import Decision, ErrorFormat, IdentityFailure, Quota, Reason, Verdict
from sidecar.domain.values import value

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields to send, names in the case in which documentation writes them."""

_CLIENT_ERROR: Final = 400
_MAX_SF_INTEGER: Final = 999_999_999_999_999  # RFC 9651, 3.3.1
_WINDOWS: Final = {
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,  # the interface's example: a window has one length, a month has not
    "year": 31_536_000,
}

_NO_STORE: Final = (b"Cache-Control", b"no-store")
_NO_RETRY: Final = (b"x-should-retry", b"false")
_PROBLEM: Final = (b"Content-Type", b"application/problem+json")
_JSON: Final = (b"Content-Type", b"application/json")
_CHALLENGE: Final = (b"WWW-Authenticate", b"Bearer")
_BAD_TOKEN: Final = (b"WWW-Authenticate", b'Bearer error="invalid_token"')
_BY_STATUS: Final[dict[int, Fields]] = {
    415: ((b"Accept-Encoding", b"gzip, deflate, zstd"),),  # RFC 9110, 12.5.3
}
"""Fields of a refusal that follow from its status: 415 is for the body's content coding."""
_MARKS: Final = {
    reason: (b"X-Quota-Decision", reason.value.encode()) for reason in Reason if reason.marked
}
_FINAL: Final = frozenset({Reason.OVER_QUOTA, Reason.REPLAYED})
"""Denials that the same request, sent again at once, meets again: SDKs retry 409 and 429."""

_NOT_JUDGED: Final = frozenset({None, IdentityFailure.MISSING, IdentityFailure.KEYS_UNAVAILABLE})
"""No token came, or none could be judged: no error code then (RFC 6750, 3.1)."""


@value
class Refusal:
    """An answer in place of the product's.

    Framing (Content-Length, closing, no body for HEAD) is left to the frontend that sends it.
    """

    status: int
    headers: Fields
    body: bytes


def refuse(decision: Decision, now: float) -> Refusal:
    """Make the answer to a denied call; `now` in Unix seconds.

    Raises ValueError for a decision that denies nothing: that is a fault of the caller.
    """
    reason, status = decision.reason, decision.status
    if reason.verdict is not Verdict.DENY or status < _CLIENT_ERROR:
        raise ValueError(f"refuse: {reason.value} with status {status} is no denial")
    quota = decision.quota
    facts: dict[str, object] = {"reason": reason.value}
    charge = decision.charge
    if charge is not None:
        facts["resource"] = charge.resource
        facts["amount"] = charge.amount
    if quota is not None and not quota.unlimited:
        facts["resource"] = quota.resource
        facts["limit"] = quota.limit
        facts["used"] = quota.used
        facts["remaining"] = quota.remaining
        reset_at = _timestamp(quota.reset_at)
        if reset_at is not None:
            facts["reset_at"] = reset_at
    media, body = _body(decision, facts)
    request_id = _field_text(decision.request_id)
    headers = [media, _NO_STORE, (b"X-Request-ID", request_id)]
    if decision.errors is ErrorFormat.ANTHROPIC:
        headers.append((b"request-id", request_id))  # where that SDK looks for it
    if decision.retry_after is not None:
        headers.append((b"Retry-After", b"%d" % _whole_seconds(decision.retry_after, 1)))
    if reason in _FINAL:
        headers.append(_NO_RETRY)
    elif reason is Reason.UNAUTHENTICATED:
        headers.append(_CHALLENGE if decision.identity_failure in _NOT_JUDGED else _BAD_TOKEN)
    headers += _BY_STATUS.get(status, ())
    if quota is not None:
        headers += _rate_limit(quota, now)
    return Refusal(status, tuple(headers), body)


def quota_headers(decision: Decision, now: float) -> Fields:
    """Make the marks of an allowed answer; `now` in Unix seconds.

    Quota fields are there when the platform's answer is trusted and knows a limit. The request
    ID is not among them: a frontend adds it to every answer.
    """
    mark = _MARKS.get(decision.reason)
    quota = decision.quota
    if quota is None:
        return () if mark is None else (mark,)
    fields = _rate_limit(quota, now)
    return fields if mark is None else (*fields, mark)


def _body(decision: Decision, facts: dict[str, object]) -> tuple[tuple[bytes, bytes], bytes]:
    reason, status = decision.reason, decision.status
    detail = decision.detail or reason_detail(reason)
    match decision.errors:
        case ErrorFormat.PROBLEM:
            return _PROBLEM, _json(
                {
                    "type": problem_type(reason),
                    "title": reason_title(reason),
                    "status": status,
                    "detail": detail,
                    "instance": decision.request_id,
                    **facts,
                }
            )
        case ErrorFormat.OPENAI:
            return _JSON, _json(
                {
                    "error": {
                        "message": detail,
                        "type": openai_type(reason, status),
                        "param": None,
                        "code": openai_code(reason),
                        "request_id": decision.request_id,
                        **facts,
                    }
                }
            )
        case ErrorFormat.ANTHROPIC:
            return _JSON, _json(
                {
                    "type": "error",
                    "error": {
                        "type": anthropic_type(reason, status),
                        "message": detail,
                        "details": {"error_code": reason.value},
                        **facts,
                    },
                    "request_id": decision.request_id,
                }
            )
        case _:
            assert_never(decision.errors)


def _rate_limit(quota: Quota, now: float) -> Fields:
    if quota.unlimited:
        return ()
    policy, name = _policy(quota.resource, quota.limit, quota.period)
    remaining = min(max(quota.remaining, 0), _MAX_SF_INTEGER)
    seconds = _whole_seconds(quota.reset_at - now, 0)
    return (policy, (b"RateLimit", b"%b;r=%d;t=%d" % (name, remaining, seconds)))


@lru_cache(maxsize=4096)
def _policy(resource: str, limit: int, period: str) -> tuple[tuple[bytes, bytes], bytes]:
    """Make the RateLimit-Policy field and the policy's name in it, which RateLimit repeats."""
    name = _structured_string(resource)
    window = _WINDOWS.get(period)
    value = b"%b;q=%d" % (name, min(max(limit, 0), _MAX_SF_INTEGER))
    if window is not None:
        value += b";w=%d" % window
    return (b"RateLimit-Policy", value), name


def _structured_string(text: str) -> bytes:
    printable = "".join(char if " " <= char <= "~" else "?" for char in text)
    return b'"%b"' % printable.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")


def _whole_seconds(seconds: float, least: int) -> int:
    """Round up, so that who waits that long does not come too early."""
    return min(max(math.ceil(seconds), least), _MAX_SF_INTEGER) if math.isfinite(seconds) else least


@lru_cache(maxsize=1024)
def _timestamp(seconds: float) -> str | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # beyond the calendar: not known, then
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _field_text(text: str) -> bytes:
    """Write text as a field value; what could end the field early becomes `?`."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return "".join(char if " " <= char <= "~" else "?" for char in text).encode("ascii")


def _json(document: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # a lone surrogate, from a path or an ID that was not UTF-8
        return orjson.dumps(_encodable(document))


def _encodable(value: object) -> object:
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
