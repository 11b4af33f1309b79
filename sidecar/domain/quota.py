"""The platform's quota object, read into the domain's `Quota`. Pure; a leaf like the model.

The same object stands in consume answers, in `/v1/quota/status` and in a token's snapshot
(contract, Quotas), so there is one reading of it, and it is strict: half a quota is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from sidecar.domain.model import UNLIMITED, Quota

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)
_LONGEST_PERIOD: Final = 32
_LARGEST: Final = 2**63 - 1


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
