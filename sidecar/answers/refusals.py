"""What a caller sees of a decision: the refusal, or the marks of an allowed answer.

Pure, and shared by all frontends. Sources: interface.md, "What a caller sees"; RFC 6750 3
(WWW-Authenticate), RFC 9651 (structured fields), draft-ietf-httpapi-ratelimit-headers (RateLimit).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from sidecar.answers.writer import MAX_INTEGER, Fields, OwnAnswer, write_error
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Decision, Reason, Verdict
from sidecar.domain.quota import Quota

_CLIENT_ERROR: Final = 400
_WINDOWS: Final = {
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,  # the interface's example: a window has one length, a month has not
    "year": 31_536_000,
}

_UNITS: Final = {"storage_bytes": b'"content-bytes"'}
"""Quota units of resources, where these are not the draft's default, `requests`."""

_NO_RETRY: Final = (b"x-should-retry", b"false")
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

_NO_TOKEN: Final = frozenset({None, IdentityFailure.MISSING})
"""No token came: no error code then (RFC 6750, 3.1)."""


def refuse(decision: Decision, now: float) -> OwnAnswer:
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
    is_problem = decision.errors is ErrorFormat.PROBLEM
    if reason is Reason.OVER_QUOTA and is_problem and "resource" in facts:
        facts["violated-policies"] = [facts["resource"]]  # by its name in RateLimit-Policy
    fields: list[tuple[bytes, bytes]] = []
    if reason in _FINAL and not decision.passing:
        fields.append(_NO_RETRY)
    elif reason is Reason.UNAUTHENTICATED:
        fields.append(_CHALLENGE if decision.identity_failure in _NO_TOKEN else _BAD_TOKEN)
    fields += _BY_STATUS.get(status, ())
    if quota is not None:
        fields += _rate_limit(quota, now)
    return write_error(
        status,
        reason,
        decision.detail,
        request_id=decision.request_id,
        errors=decision.errors,
        facts=facts,
        retry_after=decision.retry_after,
        fields=tuple(fields),
    )


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


def mark_lines(decision: Decision, now: float) -> tuple[bytes, bool]:
    """Write `quota_headers` and the request ID as lines; say whether they tell a quota."""
    marks = b"X-Request-ID: %b\r\n" % decision.request_id.encode("ascii")
    quota = decision.quota
    tells = quota is not None and not quota.unlimited
    if quota is not None and tells:
        (name, value), prefix = _policy(quota.resource, quota.limit, quota.period)
        marks += b"%b: %b\r\nRateLimit: %b\r\n" % (name, value, _left(prefix, quota, now))
    mark = _MARKS.get(decision.reason)
    return (marks if mark is None else marks + b"%b: %b\r\n" % mark), tells


def _rate_limit(quota: Quota, now: float) -> Fields:
    if quota.unlimited:
        return ()
    policy, name = _policy(quota.resource, quota.limit, quota.period)
    return (policy, (b"RateLimit", _left(name, quota, now)))


def _left(name: bytes, quota: Quota, now: float) -> bytes:
    """Write what remains, and for how many seconds, rounded up."""
    remaining = min(max(quota.remaining, 0), MAX_INTEGER)
    seconds = max(math.ceil(quota.reset_at - now), 0)
    return b"%b;r=%d;t=%d" % (name, remaining, seconds)


@lru_cache(maxsize=4096)
def _policy(resource: str, limit: int, period: str) -> tuple[tuple[bytes, bytes], bytes]:
    """Make the RateLimit-Policy field and the policy's name in it, which RateLimit repeats."""
    name = _structured_string(resource)
    window = _WINDOWS.get(period)
    value = b"%b;q=%d" % (name, min(max(limit, 0), MAX_INTEGER))
    unit = _UNITS.get(resource)
    if unit is not None:
        value += b";qu=" + unit
    if window is not None:
        value += b";w=%d" % window
    return (b"RateLimit-Policy", value), name


def _structured_string(text: str) -> bytes:
    printable = "".join(char if " " <= char <= "~" else "?" for char in text)
    return b'"%b"' % printable.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")


@lru_cache(maxsize=1024)
def _timestamp(seconds: float) -> str | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # beyond the calendar: not known, then
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
