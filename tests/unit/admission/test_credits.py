"""The credit book: whole or not at all, for this period only, bounded aloud."""

from __future__ import annotations

from sidecar.admission.credits import CreditBook, Lot

SLOT = ("org", "ai_calls")


def test_credits_pay_a_call_whole_or_not_at_all() -> None:
    """Two units do not pay for three; one and two do."""
    book = CreditBook()
    book.add(SLOT, 2, 100.0, 0.0)
    assert book.draw(SLOT, 3, 0.0) is None
    book.add(SLOT, 1, 100.0, 0.0)
    assert book.draw(SLOT, 3, 0.0) == 100.0
    assert book.units(0.0) == 0


def test_credits_end_with_their_period() -> None:
    """Units of last month are no good this month, nor added late."""
    book = CreditBook()
    book.add(SLOT, 1, 100.0, 0.0)
    assert book.draw(SLOT, 1, 100.0) is None
    book.add(SLOT, 1, 100.0, 100.0)
    assert not book.by_slot


def test_the_units_that_end_first_are_drawn_first() -> None:
    """What would be lost soonest is spent soonest."""
    book = CreditBook()
    book.add(SLOT, 1, 200.0, 0.0)
    book.add(SLOT, 1, 100.0, 0.0)
    assert book.draw(SLOT, 1, 0.0) == 100.0
    assert list(book.lots()) == [Lot(*SLOT, 1, 200.0)]


def test_another_org_or_resource_cannot_draw() -> None:
    """A credit belongs to who paid."""
    book = CreditBook()
    book.add(SLOT, 1, 100.0, 0.0)
    assert book.draw(("other", "ai_calls"), 1, 0.0) is None
    assert book.draw(("org", "seats"), 1, 0.0) is None


def test_a_full_book_counts_the_units_that_it_gave_up() -> None:
    """Nothing owed is dropped in silence."""
    book = CreditBook(capacity=1)
    book.add(SLOT, 7, 100.0, 0.0)
    assert book.displaced == 0
    book.add(("other", "ai_calls"), 1, 100.0, 0.0)
    assert book.displaced == 7


def test_units_whose_period_has_ended_are_counted() -> None:
    """When they are owed too late, and when they were not used in time."""
    book = CreditBook()
    book.add(SLOT, 2, 100.0, 100.0)
    book.add(SLOT, 3, 100.0, 0.0)
    assert book.draw(SLOT, 1, 100.0) is None
    assert book.expired == 5


def test_rolling_periods_keep_few_lots_and_every_unit() -> None:
    """Lots that would be too many end together, with the earlier one."""
    book = CreditBook()
    for n in range(50):
        book.add(SLOT, 1, 100.0 + n, 0.0)
    assert book.units(0.0) == 50
    assert len(list(book.lots())) <= 8


def test_what_a_call_owes_is_paid_in_part() -> None:
    """First from what ends first."""
    book = CreditBook()
    book.add(SLOT, 2, 200.0, 0.0)
    book.add(SLOT, 3, 100.0, 0.0)
    assert book.units_of(SLOT, 0.0) == 5
    assert book.draw_part(SLOT, 4, 0.0) == 4
    assert list(book.lots()) == [Lot(*SLOT, 1, 200.0)]
    assert book.draw_part(SLOT, 4, 0.0) == 1
    assert book.draw_part(SLOT, 4, 0.0) == 0
    assert not book.by_slot
