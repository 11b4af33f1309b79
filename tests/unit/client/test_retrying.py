from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.client.errors import (
    CredentialRefusedError,
    DeadlineError,
    PlatformError,
    RateLimitedError,
    UnavailableError,
    UnreadableAnswerError,
)
from sidecar.client.retrying import Backoff, may_repeat, read_http_date, read_retry_after

NOW = 1_760_000_000.0


def failed(status: int | None) -> UnavailableError:
    """A failure that may pass."""
    return UnavailableError("GET /", "failed", status=status)


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(status: int | None) -> None:
    """Where doing it twice is doing it once."""
    assert may_repeat(failed(status), repeatable=True)


@pytest.mark.parametrize(
    "error",
    [
        failed(501),
        CredentialRefusedError("GET /", "refused", status=401),
        UnreadableAnswerError("GET /", "not JSON", status=200),
    ],
)
def test_what_does_not_pass_is_not_asked_again(error: PlatformError) -> None:
    """The same request would fail the same way."""
    assert not may_repeat(error, repeatable=True)


@pytest.mark.parametrize(
    "error", [failed(503), DeadlineError("POST /", "late"), RateLimitedError("POST /", "many")]
)
def test_what_cannot_be_repeated_is_not(error: PlatformError) -> None:
    """Even when it would help."""
    assert not may_repeat(error, repeatable=False)


def test_what_was_never_sent_can_be() -> None:
    """No byte left, so nothing was done."""
    unsent = UnavailableError("POST /", "cannot connect", unsent=True)
    assert may_repeat(unsent, repeatable=False)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_wait_is_bounded(attempt: int, chance: float) -> None:
    """However long it goes on."""
    assert 0 <= Backoff(0.2, 5.0).wait(attempt, chance) <= 5.0


def test_a_wait_doubles() -> None:
    """Until the longest."""
    backoff = Backoff(0.2, 5.0)
    assert [backoff.wait(attempt, 1.0) for attempt in range(6)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("9" * 50, 86_400.0),
        ("Thu, 09 Oct 2025 08:53:30 GMT", 10.0),
        ("Thu, 09 Oct 2025 08:53:00 GMT", 0.0),
        ("Thu, 99 Oct 2025 08:53:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds or a date; anything else is no advice."""
    assert read_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_date_breaks_the_reading(text: str) -> None:
    """A hostile field is none, or a number."""
    assert isinstance(read_http_date(text), float | None)
