"""A short run of each door, and its books by org."""

from __future__ import annotations

import pytest

from tests.soak.doors import DOORS, at_door


@pytest.mark.parametrize("door", DOORS)
async def test_each_org_has_paid_what_its_executions_cost(door: str) -> None:
    """Over a platform that fails for a second in the middle."""
    found = await at_door(door, 400, 20, number=15)
    assert found.wrong == [], found.summary()
    assert found.failed_open > 20
    assert sum(row.least == row.most for row in found.rows) >= 18
