"""The words of a refusal: for each reason its title and detail, and each format's own types.

Every choice of wording is here and nowhere else; the golden files show them all.
"""

from __future__ import annotations

from typing import Final, assert_never

from sidecar.domain.model import Reason, Verdict

_PROBLEM_TYPES: Final = "urn:bizbasics:sidecar:problem:"
"""Stable names for RFC 9457 `type`: they identify, and promise no page behind them."""

_SERVER_ERROR: Final = 500


def problem_type(reason: Reason) -> str:
    """Return the `type` of a problem: a URI that never changes for a reason."""
    return _TYPES[reason]


def reason_title(reason: Reason) -> str:
    """Return the same few words for every problem of this reason (RFC 9457, 3.1.3)."""
    return _WORDS[reason][0]


def reason_detail(reason: Reason) -> str:
    """Return what to tell the caller where the decision itself says nothing more exact."""
    return _WORDS[reason][1]


def openai_code(reason: Reason) -> str:
    """Return `error.code`: that API's word for a spent quota, our reason for all else."""
    return "insufficient_quota" if reason is Reason.OVER_QUOTA else reason.value


def openai_type(reason: Reason, status: int) -> str:
    """Return `error.type`; the SDK picks its exception by status, people read this."""
    if reason is Reason.OVER_QUOTA:
        return "insufficient_quota"
    if status >= _SERVER_ERROR:
        return "server_error"
    return _OPENAI_TYPES.get(status, "invalid_request_error")


def anthropic_type(reason: Reason, status: int) -> str:
    """Return `error.type` of the documented list; other 4xx are `invalid_request_error` there."""
    if reason is Reason.OVER_QUOTA and status not in _ANTHROPIC_TYPES:
        return "rate_limit_error"
    if status >= _SERVER_ERROR:
        loaded = reason in {Reason.OVERLOADED, Reason.DRAINING}
        return "overloaded_error" if loaded else "api_error"
    return _ANTHROPIC_TYPES.get(status, "invalid_request_error")


_OPENAI_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


def _words(reason: Reason) -> tuple[str, str] | None:  # noqa: C901, PLR0912 (one total table)
    """Return title and detail, or None for a reason that allows."""
    match reason:
        case Reason.OVER_QUOTA:
            return (
                "Quota exceeded",
                "This call would take the organisation over its quota for this period.",
            )
        case Reason.BLOCKED:
            return "Not available", "This path is not available."
        case Reason.UNMATCHED:
            return "Not available", "No route of the policy covers this path."
        case Reason.UNAUTHENTICATED:
            return "Sign-in required", "The request carries no valid access token: sign in again."
        case Reason.NOT_ENTITLED:
            return "Not entitled", "The organisation has no access to this product."
        case Reason.REPLAYED:
            return (
                "Request ID used before",
                "A request with this ID was served already: send a new X-Request-ID.",
            )
        case Reason.FAIL_CLOSED:
            return (
                "Quota cannot be checked",
                "The quota service gives no answer, and this route needs one: try again.",
            )
        case Reason.FAIL_OPEN_SPENT:
            return (
                "Quota cannot be checked",
                "The quota service gives no answer, and no more may pass without one: try again.",
            )
        case Reason.BAD_REQUEST:
            return "Bad request", "The request cannot be read safely."
        case Reason.OVERLOADED:
            return "Too busy", "Too many requests at once: try again."
        case Reason.DRAINING:
            return "Shutting down", "This instance is shutting down: try again."
        case (
            Reason.WITHIN_QUOTA
            | Reason.LEASED
            | Reason.CREDITED
            | Reason.UNLIMITED
            | Reason.UNMETERED
            | Reason.OVER_QUOTA_ALLOWED
            | Reason.SHADOW
            | Reason.FAIL_OPEN
            | Reason.LAST_KNOWN
        ):
            return None
        case _:
            assert_never(reason)


_WORDS: Final = {reason: words for reason in Reason if (words := _words(reason)) is not None}
_TYPES: Final = {
    reason: _PROBLEM_TYPES + reason.value for reason in Reason if reason.verdict is Verdict.DENY
}
