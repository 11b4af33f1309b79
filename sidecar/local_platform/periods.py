"""The quota's months, in UTC, and the one way times are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Month:
    """A quota period: `name` as `2025-10`, and when the next one starts (contract, Quotas)."""

    name: str
    reset_at: str


def month_of(now: float) -> Month:
    """Return the UTC month that `now`, Unix seconds, lies in."""
    moment = datetime.fromtimestamp(now, UTC)
    following = (
        moment.replace(year=moment.year + 1, month=1)
        if moment.month == _DECEMBER
        else moment.replace(month=moment.month + 1, day=1)
    )
    start = following.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Month(name=f"{moment.year:04d}-{moment.month:02d}", reset_at=_text(start))


def utc_text(now: float) -> str:
    """Write `now`, Unix seconds, as ISO 8601 in UTC with a final Z."""
    return _text(datetime.fromtimestamp(now, UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


_DECEMBER = 12
