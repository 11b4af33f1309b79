"""A short kill storm, and the books that end one."""

from __future__ import annotations

import pytest

from tests.soak.kill_storm import storm
from tests.soak.storm_books import Call, Row, by_key, keys_of


async def test_nothing_is_free_or_double_after_a_few_kills() -> None:
    """One process and two workers, exact calls, leases and refunds: killed under load."""
    found = await storm(6, number=5)
    assert found.wrong == [], found.table()
    assert sum(row.executed for row in found.rows) > 10


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


def test_each_execution_is_looked_up_by_its_key() -> None:
    """An execution under no counted key is free, whatever else was charged for nothing."""
    sent = [Call("m1", "r1", 2), Call("m2", "r2", 3), Call("m3", "r3", 1), Call("m4", "r3", 1)]
    first, second, third = (
        keys_of("o", "u", call.request_id, call.amount, 1).pop() for call in sent[:3]
    )
    assert by_key("o", "u", sent, {"m1"}, {first, second}) == (0, 0, 0)
    assert by_key("o", "u", sent, {"m1", "m2"}, {first}) == (0, 3, 0)
    assert by_key("o", "u", sent, {"m3", "m4"}, {third}) == (0, 0, 1)
    assert by_key("o", "u", sent, set(), {first, "a stranger's"}) == (1, 0, 0)
    assert Row("o", 100, 9, 3, 5, 0, 0, 0, keyless=2).free == 2
