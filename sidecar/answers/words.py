"""The words of every answer of our own: for each code its title, detail and each format's types.

Every choice of wording is here and nowhere else; the golden files show them all.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sidecar.domain.model import Reason

_PROBLEM_TYPES: Final = "urn:bizbasics:sidecar:problem:"
"""Stable names for RFC 9457 `type`: they identify, and promise no page behind them."""

_SERVER_ERROR: Final = 500


class FailureCode(StrEnum):
    """Why an allowed call got no answer of the product, in words that clients may match on."""

    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_BUSY = "upstream_busy"
    INTERNAL_ERROR = "internal_error"


Code = Reason | FailureCode


def problem_type(code: Code) -> str:
    """Return the `type` of a problem: a URI that never changes for a code."""
    return _PROBLEM_TYPES + code.value


def title_of(code: Code) -> str:
    """Return the same few words for every problem of this code (RFC 9457, 3.1.3)."""
    return _WORDS[code][0]


def detail_of(code: Code) -> str:
    """Return the detail for an answer that has no more exact one."""
    return _WORDS[code][1]


def openai_code(code: Code) -> str:
    """Return `error.code`: that API's word for a spent quota, our code for all else."""
    return "insufficient_quota" if code is Reason.OVER_QUOTA else code.value


def openai_type(code: Code, status: int) -> str:
    """Return `error.type`; the SDK picks its exception by status, people read this."""
    if code is Reason.OVER_QUOTA:
        return "insufficient_quota"
    if status >= _SERVER_ERROR:
        return "server_error"
    return _OPENAI_TYPES.get(status, "invalid_request_error")


def anthropic_type(code: Code, status: int) -> str:
    """Return `error.type` of the documented list; other 4xx are `invalid_request_error` there."""
    if code is Reason.OVER_QUOTA and status not in _ANTHROPIC_TYPES:
        return "rate_limit_error"
    if code in _BUSY:
        return "overloaded_error"
    if status >= _SERVER_ERROR:
        return _ANTHROPIC_TYPES.get(status, "api_error")
    return _ANTHROPIC_TYPES.get(status, "invalid_request_error")


_BUSY: Final[frozenset[Code]] = frozenset(
    {Reason.OVERLOADED, Reason.DRAINING, FailureCode.UPSTREAM_BUSY}
)
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
    504: "timeout_error",
}
_WORDS: Final[dict[Code, tuple[str, str]]] = {
    Reason.OVER_QUOTA: (
        "Quota exceeded",
        "This call would take the organisation over its quota for this period.",
    ),
    Reason.BLOCKED: ("Not available", "This path is not available."),
    Reason.UNMATCHED: ("Not available", "No route of the policy covers this path."),
    Reason.UNAUTHENTICATED: (
        "Sign-in required",
        "The request carries no valid access token: sign in again.",
    ),
    Reason.IDENTITY_UNAVAILABLE: (
        "Sign-in cannot be checked",
        "The keys that verify access tokens are not available yet: try again.",
    ),
    Reason.NOT_ENTITLED: ("Not entitled", "The organisation has no access to this product."),
    Reason.REPLAYED: (
        "Request ID used before",
        "A request with this ID was served already: send a new X-Request-ID.",
    ),
    Reason.FAIL_CLOSED: (
        "Quota cannot be checked",
        "The quota service gives no answer, and this route needs one: try again.",
    ),
    Reason.FAIL_OPEN_SPENT: (
        "Quota cannot be checked",
        "The quota service gives no answer, and no more may pass without one: try again.",
    ),
    Reason.BAD_REQUEST: ("Bad request", "The request cannot be read safely."),
    Reason.OVERLOADED: ("Too busy", "Too many requests at once: try again."),
    Reason.DRAINING: ("Shutting down", "This instance is shutting down: try again."),
    FailureCode.UPSTREAM_UNREACHABLE: (
        "Upstream unreachable",
        "The product could not be reached.",
    ),
    FailureCode.UPSTREAM_FAILED: (
        "Upstream failed",
        "The product ended the connection without an answer.",
    ),
    FailureCode.UPSTREAM_TIMEOUT: ("Upstream timeout", "The product did not answer in time."),
    FailureCode.UPSTREAM_BUSY: ("Upstream busy", "The product has no free connection."),
    FailureCode.INTERNAL_ERROR: ("Internal error", "The sidecar failed; its log says why."),
}
