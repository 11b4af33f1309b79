from __future__ import annotations

import pytest

from sidecar.client.errors import (
    ConflictError,
    CredentialRefusedError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    OverQuotaError,
    PlatformError,
    RateLimitedError,
    UnavailableError,
    UnreadableAnswerError,
    error_of,
)
from sidecar.domain.errors import TransientError
from sidecar.domain.quota import Quota


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (302, UnreadableAnswerError, False),
        (400, InvalidRequestError, False),
        (401, CredentialRefusedError, False),
        (403, ForbiddenError, False),
        (404, NotFoundError, False),
        (409, ConflictError, False),
        (422, InvalidRequestError, False),
        (429, RateLimitedError, True),
        (500, UnavailableError, True),
        (503, UnavailableError, True),
    ],
)
def test_each_status_has_its_class(
    status: int, kind: type[PlatformError], *, transient: bool
) -> None:
    """And says whether waiting helps."""
    error = error_of("GET /v1/catalog", status, "why")
    assert (type(error), error.status, error.detail) == (kind, status, "why")
    assert isinstance(error, TransientError) is transient


def test_the_text_names_the_call_and_the_detail() -> None:
    """A line that can stand alone."""
    error = error_of("GET /v1/catalog", 403, "this key lacks the scope 'read'")
    assert str(error) == "GET /v1/catalog: forbidden (403): this key lacks the scope 'read'"


def test_over_quota_tells_what_is_left() -> None:
    """The org, what was asked, and the state."""
    error = OverQuotaError("org_acme", 5, Quota("ai_calls", 25, 24, 1, "month", 0.0))
    assert (
        str(error) == "org_acme: 5 of ai_calls refused: 24 of 25 used, 1 left until the month ends"
    )
