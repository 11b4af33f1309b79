"""Sending what is owed: at once, bounded, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.admission import settler
from sidecar.admission.journal_entries import Changed, JournalUnwritable, Record
from tests.fakes.quotas import HeldQuotas
from tests.unit.admission.settling import SLOT, Desk
from tests.unit.admission.usage_rules import terms, used


class Unmarkable:
    """A store whose marks cannot be written: a disk that became read-only."""

    durable = True
    problem = ""
    damaged_bytes = 0

    def append(self, record: Record) -> None:
        """Keep all but the mark that a key is being sent."""
        if isinstance(record, Changed):
            raise JournalUnwritable("read-only")


async def test_a_cancelled_sending_leaves_the_entry_to_be_sent_again() -> None:
    """Under the same key: it may have been counted."""
    desk = Desk()
    desk.platform.now = held = HeldQuotas(desk.store)
    permit, charge = desk.admit()
    key = desk.settlements.settle(permit, charge, used(12), desk.now)
    assert key is not None
    desk.settler.send(key)
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(desk.settler.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    held.release.set()
    await asyncio.sleep(0.001)
    assert desk.books.journal.pending == 1
    desk.platform.now = desk.honest
    await desk.reporter.report()
    assert desk.used == 12
    assert desk.at_rest()


async def test_beyond_its_bound_the_reporter_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed is in the journal either way."""
    monkeypatch.setattr(settler, "CONCURRENCY", 1)
    desk = Desk()
    for _ in range(3):
        permit, charge = desk.admit()
        key = desk.settlements.settle(permit, charge, used(12), desk.now)
        assert key is not None
        desk.settler.send(key)
    await desk.settler.close()
    assert desk.used == 3 + 11
    await desk.reporter.report()
    assert desk.used == 36
    assert desk.at_rest()


async def test_what_cannot_be_marked_is_not_sent() -> None:
    """After a crash it would be sent under a key that may have been counted and forgotten."""
    desk = Desk(journal=Unmarkable())
    await desk.call(used(12))
    assert desk.used == 1
    assert desk.books.journal.units == 11
    assert desk.holds.held(SLOT).admitted == 11


async def test_the_reporter_may_have_taken_it_already() -> None:
    """It is sent once."""
    desk = Desk()
    permit, charge = desk.admit(terms())
    key = desk.settlements.settle(permit, charge, used(12), desk.now)
    assert key is not None
    await desk.reporter.report()
    desk.settler.send(key)
    await desk.settler.close()
    assert [each.amount for each in desk.honest.asked] == [11]
