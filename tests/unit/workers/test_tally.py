"""Counts of workers that come and go: as seen from outside, they never go backwards."""

from __future__ import annotations

from sidecar.telemetry.snapshot import Buckets, Snapshot, merge
from sidecar.workers.tally import Tally


def counted(units: int) -> Snapshot:
    """What a worker has counted, and what it holds."""
    return Snapshot(
        {
            "units_total": {("a", "b", "c"): units},
            "open_connections": {(): 5},
            "journal_pending_units": {(): 4},
        },
        {"overhead_seconds": {("b",): Buckets((units,), 100_000_003 * units)}},
    )


async def test_what_a_worker_counted_stays_when_it_is_gone_and_when_it_is_replaced() -> None:
    """Again and again, to the nanosecond."""
    tally = Tally()
    before = merge(tally.parts([[counted(7)], [counted(9)]]))
    for _ in range(3):
        tally.retire(0, [counted(7)], with_files=False)
        without = merge(tally.parts([[counted(9)]]))
        assert without.values["units_total"] == before.values["units_total"]
        assert without.histograms == before.histograms
        await tally.replaced(0)
        again = merge(tally.parts([[counted(9)]]))
        assert again.values["units_total"] == without.values["units_total"]
        assert again.histograms == without.histograms
        before = merge(tally.parts([[counted(7)], [counted(9)]]))


async def test_gauges_go_with_their_worker_save_those_of_its_files() -> None:
    """Units in a journal's file are owed until the next worker has read it."""
    tally = Tally()
    tally.retire(0, [counted(1)], with_files=True)
    values = merge(tally.parts([])).values
    assert "open_connections" not in values
    assert values["journal_pending_units"] == {(): 4}
    await tally.replaced(0)
    assert "journal_pending_units" not in merge(tally.parts([])).values


async def test_a_journal_in_memory_is_gone_with_its_worker() -> None:
    """Nothing is owed any more that anyone could report."""
    tally = Tally()
    tally.retire(0, [counted(1)], with_files=False)
    assert "journal_pending_units" not in merge(tally.parts([])).values
