"""What the platform says of a quota: its answers, and the strict reading of its quota object. Pure.

The same object stands in consume answers, in `/v1/quota/status` and in a token's snapshot
(contract, Quotas), so there is one reading of it, and it is strict: half a quota is none. The
values have constructors of their own, as those of the model have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

UNLIMITED: Final = -1
"""The platform's word for "no limit" in `limit` and `remaining` (contract, Quotas)."""

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_LONGEST_PERIOD: Final = 32
_LARGEST: Final = 2**63 - 1


@dataclass(init=False, slots=True, unsafe_hash=True)
class Quota:
    """What the platform said of one org's resource. `reset_at` in Unix seconds, UTC."""

    resource: Final[str]
    limit: Final[int]
    used: Final[int]
    remaining: Final[int]
    period: Final[str]
    reset_at: Final[float]
    unlimited: bool = field(init=False, compare=False, repr=False)
    """True for the platform's -1, which may also be its store being down."""

    def __init__(
        self, resource: str, limit: int, used: int, remaining: int, period: str, reset_at: float
    ) -> None:
        self.resource = resource
        self.limit = limit
        self.used = used
        self.remaining = remaining
        self.period = period
        self.reset_at = reset_at
        self.unlimited = limit == UNLIMITED


class FailureKind(StrEnum):
    """Why the platform gave no valid answer; the same words label metrics and logs."""

    CONNECT = "connect"
    TIMEOUT = "timeout"
    RESET = "reset"
    BREAKER_OPEN = "breaker_open"
    CREDENTIAL_REFUSED = "credential_refused"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    MALFORMED = "malformed"
    DISGUISED = "disguised"
    OVERLOADED = "overloaded"  # this process was too late to read an answer: no failure of theirs

    @property
    def result_unknown(self) -> bool:
        """Whether the platform may have counted all the same, so that the key must be kept."""
        return self in _RESULT_UNKNOWN

    @property
    def may_have_counted(self) -> bool:
        """Whether the platform may have counted: a disguised answer may also be a true one."""
        return self is FailureKind.DISGUISED or self in _RESULT_UNKNOWN

    @property
    def permanent(self) -> bool:
        """Whether the same consume, sent again unchanged, would fail again."""
        return self in _PERMANENT


_RESULT_UNKNOWN: Final = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.RESET,
        FailureKind.CONFLICT,
        FailureKind.SERVER_ERROR,
        FailureKind.UNEXPECTED_STATUS,
        FailureKind.MALFORMED,
        FailureKind.OVERLOADED,
    }
)
_PERMANENT: Final = frozenset({FailureKind.NOT_FOUND, FailureKind.UNPROCESSABLE})


@dataclass(init=False, slots=True, unsafe_hash=True)
class Granted:
    """The platform counted the charge."""

    quota: Final[Quota]

    def __init__(self, quota: Quota) -> None:
        self.quota = quota


@dataclass(init=False, slots=True, unsafe_hash=True)
class Refused:
    """The platform refused the charge as over the limit, and counted nothing."""

    quota: Final[Quota]

    def __init__(self, quota: Quota) -> None:
        self.quota = quota


@dataclass(frozen=True, slots=True)
class Failed:
    """The platform gave no valid answer.

    For the log: `cause` is how no connection was had, or the field of an answer that is malformed;
    `detail` says more.
    """

    kind: FailureKind
    cause: str = field(default="", compare=False)
    detail: str = field(default="", compare=False)


Outcome = Granted | Refused | Failed


def read_quota(members: Mapping[str, object], resource: str) -> Quota | None:
    """Read one resource's quota; None when a member is missing, of another type or impossible."""
    quota = check_quota(members, resource)
    return quota if isinstance(quota, Quota) else None


def check_quota(
    members: Mapping[str, object], resource: str, *, refused: bool = False
) -> Quota | str:
    """Read one resource's quota, or return the name of the member that is malformed.

    Impossible is a negative number other than -1 in both `limit` and `remaining`, and `remaining`
    over `limit`. The `remaining` of a refusal may be negative: it counts as zero.
    """
    limit = members.get("limit")
    used = members.get("used")
    remaining = members.get("remaining")
    period = members.get("period")
    reset_at = members.get("reset_at")
    # `type() is` and not isinstance: JSON's true is no number.
    if type(limit) is not int or not UNLIMITED <= limit <= _LARGEST:
        return "limit"
    if type(used) is not int or not 0 <= used <= _LARGEST:
        return "used"
    if type(remaining) is not int:
        return "remaining"
    if refused and limit != UNLIMITED:
        remaining = max(remaining, 0)
    least = UNLIMITED if limit == UNLIMITED else 0
    if not least <= remaining <= limit:
        return "remaining"
    if type(period) is not str or not 0 < len(period) <= _LONGEST_PERIOD:
        return "period"
    at = read_instant(reset_at) if type(reset_at) is str else None
    if at is None:
        return "reset_at"
    return Quota(resource, limit, used, remaining, period, at)


@lru_cache(maxsize=256)
def read_instant(text: str) -> float | None:
    """Read an RFC 3339 time as Unix seconds, in UTC where it has no offset; None if it is none.

    Cached: every answer of a month carries the same few instants.
    """
    if _RFC_3339.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
