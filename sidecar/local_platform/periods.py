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
    following = moment.year * 12 + moment.month  # months since the year 0
    start = datetime(following // 12, following % 12 + 1, 1, tzinfo=UTC)
    return Month(name=f"{moment.year:04d}-{moment.month:02d}", reset_at=_text(start))


def utc_text(now: float) -> str:
    """Write `now`, Unix seconds, as ISO 8601 in UTC with a final Z."""
    return _text(datetime.fromtimestamp(now, UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
