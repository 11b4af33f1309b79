"""Months in UTC."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.local_platform.quota_book import month_of


@pytest.mark.parametrize(
    ("moment", "name", "reset_at"),
    [
        (datetime(2025, 1, 31, 23, 59, 59, tzinfo=UTC), "2025-01", "2025-02-01T00:00:00Z"),
        (datetime(2025, 12, 31, tzinfo=UTC), "2025-12", "2026-01-01T00:00:00Z"),
        (datetime(2024, 2, 29, tzinfo=UTC), "2024-02", "2024-03-01T00:00:00Z"),
        (datetime(2025, 3, 1, tzinfo=UTC), "2025-03", "2025-04-01T00:00:00Z"),
    ],
)
def test_a_month_resets_at_the_start_of_the_next(
    moment: datetime, name: str, reset_at: str
) -> None:
    """The contract's reset_at: start of next month, UTC, also over the year's end."""
    month = month_of(moment.timestamp())

    assert (month.name, month.reset_at) == (name, reset_at)


@given(st.floats(min_value=0, max_value=4e9))
def test_the_reset_is_ahead_and_opens_another_month(now: float) -> None:
    """Whatever the time, reset_at is later, at most 31 days, and belongs to the next period."""
    month = month_of(now)
    reset = datetime.fromisoformat(month.reset_at).timestamp()

    assert now < reset <= now + 31 * 86_400
    assert month_of(reset).name > month.name
