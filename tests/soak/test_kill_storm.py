"""A short kill storm, and the books that end one."""

from __future__ import annotations

import pytest

from tests.soak.kill_storm import Row, storm


@pytest.mark.timeout(120)
async def test_nothing_is_free_or_double_after_a_few_kills() -> None:
    """Two workers, leases and exact calls: workers and their parents killed under load."""
    found = await storm(4, number=5, workers=(2,))
    assert found.wrong == [], found.table()
    assert sum(row.executed for row in found.rows) > 20


@pytest.mark.parametrize(
    ("limit", "executed", "charged", "repeated", "verdict"),
    [
        (100, 50, 50, 0, (0, 0, 0, 0)),
        (100, 52, 50, 0, (0, 2, 0, 0)),
        (50, 52, 50, 0, (2, 0, 0, 0)),
        (-1, 52, 50, 0, (0, 2, 0, 0)),
        (100, 50, 52, 1, (0, 0, 1, 2)),
        (100, 50, 70, 0, (0, 0, 5, 20)),
    ],
)
def test_a_row_tells_free_from_double_and_lost(
    limit: int, executed: int, charged: int, repeated: int, verdict: tuple[int, ...]
) -> None:
    """Refused, free, double and lost; 60 calls begun, and at most 5 leased units lost."""
    row = Row("o", limit, 60, executed, charged, repeated, 0, 5)
    assert (row.refused, row.free, row.double, row.lost) == verdict
