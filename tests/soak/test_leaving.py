"""A short run of clients that leave beside steady ones."""

from __future__ import annotations

from tests.soak.leaving import Step, leaving


async def test_no_other_call_is_touched_by_clients_that_leave() -> None:
    """1,500 calls are answered whole and in order, and the books agree to the unit."""
    report = await leaving(1500)
    assert report.wrong == [], report.table()
    assert (report.answered, report.unanswered) == (1500, 0)
    assert len(report.left) == 2 * len(Step)
