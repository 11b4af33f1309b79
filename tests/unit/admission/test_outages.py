"""The outage book: budgets that forgetting never renews."""

from __future__ import annotations

from sidecar.admission.outages import STALE_SECONDS, OutageBook, Spent

SLOT = ("org", "ai_calls")


def test_an_outage_starts_with_the_first_unit_let_through() -> None:
    """Its age counts from there, not from the first failure."""
    book = OutageBook()
    assert book.spent(SLOT, 10.0) == Spent(0, 0.0, room=True)
    assert book.let_through(SLOT, 2, 10.0)
    assert not book.let_through(SLOT, 1, 15.0)
    assert book.spent(SLOT, 20.0) == Spent(3, 10.0, room=True)


def test_an_answer_ends_it() -> None:
    """The budget is whole again."""
    book = OutageBook()
    book.let_through(SLOT, 2, 0.0)
    book.end(SLOT)
    assert book.spent(SLOT, 1.0) == Spent(0, 0.0, room=True)


def test_a_full_book_has_no_room_for_another_org_and_keeps_every_budget() -> None:
    """Forgetting one outage to remember another would renew a spent budget."""
    book = OutageBook(capacity=1)
    book.let_through(SLOT, 2, 0.0)
    assert not book.spent(("other", "ai_calls"), 1.0).room
    assert not book.let_through(("other", "ai_calls"), 1, 1.0)
    assert book.spent(SLOT, 1.0).units == 2


def test_an_outage_of_a_day_ago_makes_room() -> None:
    """An org that never came back does not close the others for ever."""
    book = OutageBook(capacity=1)
    book.let_through(SLOT, 2, 0.0)
    assert book.spent(("other", "ai_calls"), STALE_SECONDS).room
    assert len(book) == 0
