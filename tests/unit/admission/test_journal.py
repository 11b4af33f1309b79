"""The journal book: what is owed, and what the store must be told first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.admission.journal import MEMORY_SECONDS, Journal
from sidecar.admission.journal_entries import (
    Changed,
    Entry,
    ForgetfulStore,
    Gone,
    JournalUnwritable,
    Purpose,
    Record,
    Settlement,
)
from sidecar.admission.moment import Moment
from sidecar.domain.model import Charge


class FullStore:
    """Keeps records until it is `full`."""

    durable = True

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.full = False
        self.problem = ""
        self.damaged_bytes = 0

    def append(self, record: Record) -> None:
        self.problem = "no space" if self.full else ""
        if self.full:
            raise JournalUnwritable(self.problem)
        self.records.append(record)


def at(seconds: float) -> Moment:
    """Read both clocks, which go together."""
    return Moment(seconds, seconds)


def _charge(key: str = "k", amount: int = 1) -> Charge:
    return Charge("org", "p", "ai_calls", amount, key, private=True)


def _opened(store: FullStore, *, sent: bool = False) -> Journal:
    journal = Journal(store)
    journal.open(_charge(), now=at(0.0), sent=sent, limited=False)
    return journal


def test_an_entry_is_with_the_store_before_it_is_in_the_book() -> None:
    """What cannot be kept must not be let through."""
    store = FullStore()
    store.full = True
    journal = Journal(store)
    with pytest.raises(JournalUnwritable):
        journal.open(_charge(), now=at(0.0), sent=False, limited=False)
    assert len(journal) == 0


def test_a_full_journal_takes_no_more() -> None:
    """Nothing owed is evicted for something new."""
    journal = Journal(FullStore(), capacity=1)
    journal.open(_charge("a"), now=at(0.0), sent=False, limited=False)
    with pytest.raises(JournalUnwritable, match="holds 1 entries"):
        journal.open(_charge("b"), now=at(0.0), sent=False, limited=False)


def test_an_org_leaves_as_many_entries_as_it_has_to_others() -> None:
    """Else one that is never refused in an outage would have every other refused."""
    journal = Journal(FullStore(), capacity=10)
    for key in "abcde":
        journal.open(_charge(key), now=at(0.0), sent=False, limited=False)
    with pytest.raises(JournalUnwritable, match="holds 5 entries"):
        journal.open(_charge("f"), now=at(0.0), sent=False, limited=False)
    other = replace(_charge("g"), org_id="other")
    journal.open(other, now=at(0.0), sent=False, limited=False)
    for key in "ab":
        journal.close(key)
        journal.take(at(1.0))
        journal.resolve(key)
    journal.open(_charge("f"), now=at(0.0), sent=False, limited=False)


def test_a_key_is_marked_as_sent_before_it_goes_out() -> None:
    """A crash after the sending must not forget that the platform may know the key."""
    store = FullStore()
    journal = _opened(store)
    journal.close("k")
    journal.take(at(5.0))
    entry = Entry(_charge(), Purpose.REPORT, 0.0, 5.0, limited=False)
    assert store.records[-1] == Changed(entry)


def test_an_entry_whose_mark_cannot_be_kept_is_not_handed_out() -> None:
    """It stays pending."""
    store = FullStore()
    journal = _opened(store)
    journal.close("k")
    store.full = True
    with pytest.raises(JournalUnwritable):
        journal.take(at(5.0))
    assert journal.pending == 1


def test_a_key_that_surely_did_not_arrive_is_unmarked() -> None:
    """Never seen by the platform, an entry stays good however old it gets."""
    journal = _opened(FullStore())
    journal.close("k")
    entry = journal.take(at(5.0))
    assert entry is not None
    journal.put_back(entry, sent=False)
    assert len(journal.drop_expired(at(10 * MEMORY_SECONDS))) == 0


def test_a_key_the_platform_may_have_counted_and_forgotten_is_given_up() -> None:
    """Sent again after 24 h it could count twice."""
    journal = _opened(FullStore(), sent=True)
    journal.close("k")
    assert len(journal.drop_expired(at(MEMORY_SECONDS - 1))) == 0
    assert len(journal.drop_expired(at(MEMORY_SECONDS))) == 1
    assert len(journal) == 0


def test_a_withdrawn_entry_never_sent_is_gone() -> None:
    """Not executed, not counted: nothing is owed."""
    store = FullStore()
    _opened(store).withdraw("k")
    assert store.records[-1] == Gone("k")


def test_a_withdrawn_entry_perhaps_sent_turns_into_one_to_settle() -> None:
    """Not executed, perhaps counted: the platform is asked."""
    store = FullStore()
    journal = _opened(store, sent=True)
    journal.withdraw("k")
    entry = journal.take(at(1.0))
    assert entry is not None
    assert entry.purpose is Purpose.RECLAIM
    assert store.records[-1] == Changed(entry)


def test_a_record_that_nobody_waits_for_is_kept_before_the_next() -> None:
    """A full disk delays "gone", and does not reorder it."""
    store = FullStore()
    journal = _opened(store)
    journal.close("k")
    journal.take(at(1.0))
    store.full = True
    journal.resolve("k")
    store.full = False
    journal.open(_charge("next"), now=at(2.0), sent=False, limited=False)
    assert store.records[-2] == Gone("k")
    assert isinstance(store.records[-1], Entry)


def test_a_key_known_from_before_a_restart_is_entered_once() -> None:
    """A trusted proxy's retry after our restart derives the key that is still owed."""
    store = FullStore()
    journal = _opened(store)
    journal.open(_charge(), now=at(1.0), sent=False, limited=False)
    assert (len(journal), journal.units, len(store.records)) == (1, 1, 1)


def test_what_is_put_back_goes_last() -> None:
    """One entry that never gets an answer does not hold up the others."""
    journal = Journal(FullStore())
    for key in ("a", "b"):
        journal.owe(_charge(key), now=at(0.0), limited=False)
    first = journal.take(at(1.0))
    assert first is not None
    journal.put_back(first, sent=True)
    second = journal.take(at(1.0))
    assert second is not None
    assert second.charge.key == "b"


def test_the_oldest_entry_gives_the_age() -> None:
    """The gauge by which an operator sees that reports do not get through."""
    journal = Journal(FullStore())
    assert journal.oldest_seconds(at(5.0)) == 0.0
    journal.owe(_charge("a"), now=at(2.0), limited=False)
    journal.owe(_charge("b", amount=3), now=at(4.0), limited=False)
    assert journal.oldest_seconds(at(5.0)) == 3.0
    assert journal.units == 4


def test_a_store_that_refuses_is_told_until_it_keeps_again() -> None:
    """Readiness shows why nothing can fail open."""
    store = FullStore()
    journal = Journal(store)
    assert journal.problem == ""
    store.full = True
    with pytest.raises(JournalUnwritable):
        journal.open(_charge("a"), now=at(0.0), sent=False, limited=False)
    assert journal.problem == "no space"
    store.full = False
    journal.open(_charge("a"), now=at(0.0), sent=False, limited=False)
    assert journal.problem == ""


def test_a_full_journal_tells_that_it_is() -> None:
    """Before anybody is refused for it."""
    journal = Journal(FullStore(), capacity=1)
    journal.open(_charge("a"), now=at(0.0), sent=False, limited=False)
    assert "holds 1 entries" in journal.problem


def test_a_step_of_the_wall_clock_drops_nothing() -> None:
    """An age goes by the clock that cannot be set: 40 days ahead, or back, change nothing."""
    for step in (40 * 86400.0, -40 * 86400.0):
        journal = _opened(FullStore(), sent=True)
        journal.close("k")
        assert len(journal.drop_expired(Moment(60.0, 60.0 + step))) == 0
        assert journal.oldest_seconds(Moment(60.0, 60.0 + step)) == 60.0
        assert len(journal.drop_expired(Moment(MEMORY_SECONDS, step))) == 1


def test_an_entry_of_before_a_restart_is_as_old_as_the_wall_clock_says() -> None:
    """The platform forgets its key by then; one from the future is taken for new."""
    entry = Entry(_charge(), Purpose.REPORT, 1000.0, 1000.0, limited=False)
    old = Journal(FullStore())
    old.restore(entry, Moment(5.0, 1000.0 + MEMORY_SECONDS))
    assert len(old.drop_expired(Moment(5.0, 0.0))) == 1
    ahead = Journal(FullStore())
    ahead.restore(entry, Moment(5.0, 0.0))
    assert ahead.oldest_seconds(Moment(6.0, 1.0)) == 1.0


def test_a_withdrawn_entry_under_a_shared_key_is_gone() -> None:
    """Another process may have charged the key for a call that it executed: nothing is a credit."""
    store = FullStore()
    journal = Journal(store)
    journal.open(replace(_charge(), private=False), now=at(0.0), sent=True, limited=False)
    journal.withdraw("k")
    assert (store.records[-1], len(journal)) == (Gone("k"), 0)


def owed(key: str, units: int = 5, purpose: Purpose = Purpose.OWED) -> Entry:
    """Make an entry of what a call owes."""
    charge = Charge("org", "p", "ai_calls", units, key, private=True)
    return Entry(charge, purpose, 0.0, None, True, Settlement("call", "chat", False, 1))


def test_what_is_noted_is_neither_pending_nor_counted() -> None:
    """A call that runs for an hour is nothing that waits for the platform."""
    journal = Journal(ForgetfulStore())
    journal.note(owed("k", purpose=Purpose.RUNNING), at(0))
    assert (len(journal), journal.units, journal.pending) == (1, 0, 0)
    assert journal.oldest_seconds(at(3600)) == 0
    assert journal.take(at(0)) is None
    journal.forget("k")
    assert (len(journal), journal.units) == (0, 0)


def test_what_is_owed_is_remembered_on_a_full_disk_and_sent_once_it_is_kept() -> None:
    """The call was executed: there is nothing left to refuse."""
    store = FullStore()
    journal = Journal(store)
    store.full = True
    journal.settle(owed("k"), at(0))
    assert journal.units == 5
    with pytest.raises(JournalUnwritable):
        journal.take(at(0))
    store.full = False
    assert journal.take(at(0), "k") is not None
    assert [type(record) for record in store.records] == [Entry, Changed]


def test_an_entry_can_be_taken_by_its_key_once() -> None:
    """Another sender finds nothing."""
    journal = Journal(ForgetfulStore())
    journal.settle(owed("a"), at(0))
    journal.settle(owed("b"), at(0))
    assert journal.take(at(0), "b") == owed("b")
    assert journal.take(at(0), "b") is None
    assert journal.take(at(0)) == owed("a")


def test_a_deposit_that_was_more_than_the_cost_remembers_its_surplus() -> None:
    """It is given back once the deposit is counted."""
    store = FullStore()
    journal = Journal(store)
    journal.open(owed("k").charge, now=at(0), sent=False, limited=True)
    journal.close("k", surplus=3)
    kept = store.records[-1]
    entry = journal.take(at(0))
    assert entry is not None
    assert entry.surplus == 3
    assert kept == Changed(entry)
