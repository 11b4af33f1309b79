"""The platform's quota object, read into the domain's `Quota`. Pure; a leaf like the model.

The same object stands in consume answers, in `/v1/quota/status` and in a token's snapshot
(contract, Quotas), so there is one reading of it, and it is strict: half a quota is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from sidecar.domain.model import UNLIMITED, Quota

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)
_LONGEST_PERIOD: Final = 32
_LARGEST: Final = 2**63 - 1


def read_quota(members: Mapping[str, object], resource: str) -> Quota | None:
    """Read one resource's quota; None when a member is missing, of another type or impossible.

    Impossible is: a negative number other than -1 in both `limit` and `remaining`, `remaining`
    over `limit`, a `reset_at` without an offset from UTC.
    """
    limit = members.get("limit")
    used = members.get("used")
    remaining = members.get("remaining")
    period = members.get("period")
    reset_at = members.get("reset_at")
    # `type() is` and not isinstance: JSON's true is no number.
    if type(limit) is not int or type(used) is not int or type(remaining) is not int:
        return None
    if type(period) is not str or type(reset_at) is not str:
        return None
    if not 0 <= used <= _LARGEST or limit > _LARGEST or not 0 < len(period) <= _LONGEST_PERIOD:
        return None
    if limit == UNLIMITED:
        if remaining != UNLIMITED:
            return None
    elif not 0 <= remaining <= limit:
        return None
    at = read_instant(reset_at)
    if at is None:
        return None
    return Quota(resource, limit, used, remaining, period, at)


@lru_cache(maxsize=256)
def read_instant(text: str) -> float | None:
    """Read an RFC 3339 time as Unix seconds; None when it is not one.

    Cached: every answer of a month carries the same few instants.
    """
    if _RFC_3339.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        return None
