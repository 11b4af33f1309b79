"""The quota's months, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.domain.instants import utc_text


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
    return Month(name=f"{moment.year:04d}-{moment.month:02d}", reset_at=utc_text(start.timestamp()))
