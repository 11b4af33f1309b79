"""When a call is sent again, and how long after. Pure: chance and time are passed in."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from sidecar.client.errors import (
    DeadlineError,
    PlatformError,
    RateLimitedError,
    UnavailableError,
)

_PASSING: Final = frozenset({500, 502, 503, 504})
"""Server errors that may pass; 501 and 505 do not (RFC 9110, 15.6)."""

_LONGEST_WAIT: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: `first`, doubled each time, at most `longest`; each is spread by chance.

    Full jitter, so that clients that failed together do not come back together.
    """

    first: float = 0.2
    longest: float = 5.0

    def wait(self, attempt: int, chance: float) -> float:
        """Return the wait after failed attempt number `attempt`, from 0; `chance` is 0 to 1."""
        return min(self.longest, self.first * 2.0 ** min(attempt, 30)) * chance


def may_repeat(error: PlatformError, *, repeatable: bool) -> bool:
    """Say whether a failed call may be sent again: anything may, of which no byte had left.

    `repeatable`: doing it twice is doing it once.
    """
    if error.unsent:
        return True
    if not repeatable:
        return False
    match error:
        case RateLimitedError() | DeadlineError():
            return True
        case UnavailableError(status=status):
            return status is None or status in _PASSING
        case _:
            return False


def read_retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After field as seconds from `now` (Unix): a number or a date (RFC 9110, 10.2.3).

    None when it is missing or is neither. Never negative.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT)
    at = read_http_date(text)
    return None if at is None else min(max(0.0, at - now), _LONGEST_WAIT)


def read_http_date(value: str | None) -> float | None:
    """Read an HTTP date as Unix seconds; None when it is missing or is none."""
    if value is None:
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
