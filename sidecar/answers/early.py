"""Denials made without the engine: requests that are not read, and those without room. Pure.

They have the error format of the policy as a whole, since no route was looked for.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.choices import ErrorFormat
from sidecar.domain.model import Decision, Reason

UNROUTED: Final = "none"
"""The route label of a request that was refused before a route was looked for."""

TOO_MANY_CONNECTIONS: Final = "Too many connections are open."
TOO_MANY_REQUESTS: Final = "Too many requests are under way."
TOO_MANY_BODIES: Final = "Too many request bodies are under way."

_RETRY_SECONDS: Final = 1.0


def overloaded(request_id: str, errors: ErrorFormat, detail: str) -> Decision:
    """Deny a request that there is no room for."""
    return Decision(
        Reason.OVERLOADED, UNROUTED, request_id, None, 503, detail,
        retry_after=_RETRY_SECONDS, errors=errors,
    )  # fmt: skip


def draining(request_id: str, errors: ErrorFormat) -> Decision:
    """Deny a request that comes while the sidecar shuts down."""
    return Decision(
        Reason.DRAINING, UNROUTED, request_id, None, 503, "The sidecar is shutting down.",
        retry_after=_RETRY_SECONDS, errors=errors,
    )  # fmt: skip


def unreadable(
    request_id: str, errors: ErrorFormat, status: int = 400, detail: str = ""
) -> Decision:
    """Deny a request that never became a call: its head or the start of its body is broken."""
    return Decision(Reason.BAD_REQUEST, UNROUTED, request_id, None, status, detail, errors=errors)


def broken_body(decision: Decision, status: int, detail: str) -> Decision:
    """Deny a decided call whose body is not what its head said."""
    return Decision(
        Reason.BAD_REQUEST, decision.route, decision.request_id, None, status, detail,
        errors=decision.errors,
    )  # fmt: skip
