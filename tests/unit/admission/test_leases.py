"""The lease book: sized by rate and share, drawn synchronously, void with its period."""

from __future__ import annotations

import pytest

from sidecar.admission.leases import HOLD_OFF_SECONDS, SHARE, LeaseBook, most_held
from sidecar.admission.ledger import Remaining
from sidecar.admission.moment import Moment
from sidecar.domain.quota import UNLIMITED
from tests.unit.admission.scene import NOW, quota

SLOT = ("org", "ai_calls")
PLENTY = quota(100_000, limit=100_000)


def left(units: int, limit: int) -> Remaining:
    """Say what the platform's last answer leaves, in a period that runs."""
    return Remaining(None if limit < 0 else units, limit, NOW + 1_000_000, running=True)


def _at(seconds: float) -> Moment:
    return Moment(seconds, NOW + seconds)


def _asked(book: LeaseBook, amount: int = 1, seconds: float = 0.0) -> int:
    return book.ask(SLOT, amount, left(100_000, 100_000), _at(seconds))


def test_nothing_is_asked_ahead_before_the_platform_has_answered_once() -> None:
    """What remains must be known before a share of it can be taken."""
    assert LeaseBook().ask(SLOT, 1, None, _at(0)) == 0


def test_a_lease_grows_with_the_rate() -> None:
    """A busy org takes about a second's worth ahead."""
    book = LeaseBook()
    for n in range(2000):
        book.ask(SLOT, 1, None, _at(n / 1000))
    assert 600 < _asked(book, seconds=2.0) < 1100


def test_a_lease_takes_no_more_than_its_share_of_what_remains() -> None:
    """Eight replicas together hold at most half."""
    book = LeaseBook()
    for n in range(2000):
        book.ask(SLOT, 1, None, _at(n / 1000))
    assert book.ask(SLOT, 1, left(320, 1000), _at(2.0)) == 320 // SHARE


def test_a_small_rest_is_left_to_exact_calls() -> None:
    """A lease for fewer than four calls saves nothing."""
    assert LeaseBook().ask(SLOT, 1, left(63, 1000), _at(0)) == 0


def test_one_request_is_in_flight_at_a_time() -> None:
    """Whoever comes meanwhile waits for it."""
    book = LeaseBook()
    assert _asked(book) > 0
    assert _asked(book) == 0
    assert book.asking(SLOT)


def test_units_are_drawn_until_there_are_too_few() -> None:
    """A call is paid whole or not at all."""
    book = LeaseBook()
    units = _asked(book, 3)
    book.grant(SLOT, PLENTY, _at(0))
    for _ in range(units // 5):
        assert book.draw(SLOT, 5, _at(0)) is not None
    assert book.draw(SLOT, 5, _at(0)) is None


def test_what_a_caller_is_told_remains_counts_what_the_lease_holds() -> None:
    """Units taken ahead are not spent yet."""
    book = LeaseBook()
    units = _asked(book)
    book.grant(SLOT, quota(1000 - units, limit=1000), _at(0))
    drawn = book.draw(SLOT, 1, _at(0))
    assert drawn is not None
    assert (drawn.quota.remaining, drawn.quota.used) == (999, 1)


def test_an_unlimited_org_is_told_so() -> None:
    """-1 is not a number to add to."""
    book = LeaseBook()
    unbound = quota(UNLIMITED, limit=UNLIMITED)
    assert book.ask(SLOT, 1, left(UNLIMITED, UNLIMITED), _at(0)) > 0
    book.grant(SLOT, unbound, _at(0))
    drawn = book.draw(SLOT, 1, _at(0))
    assert drawn is not None
    assert drawn.quota == unbound


def test_units_are_void_when_their_period_ends() -> None:
    """Last month's units pay nothing this month."""
    book = LeaseBook()
    _asked(book)
    book.grant(SLOT, quota(100, reset_at=NOW + 10), _at(0))
    assert book.draw(SLOT, 1, _at(10)) is None
    assert book.held == 0


def test_units_of_two_periods_end_with_the_earlier() -> None:
    """A refill just after midnight does not carry the old units over."""
    book = LeaseBook()
    _asked(book)
    book.grant(SLOT, quota(100, reset_at=NOW + 10), _at(0))
    for n in range(200):
        book.ask(SLOT, 1, None, _at(n / 200))
    assert _asked(book, seconds=1.0) > 0
    book.grant(SLOT, quota(100, reset_at=NOW + 1000), _at(1))
    assert book.draw(SLOT, 1, _at(11)) is None


def test_a_refill_after_the_period_ended_starts_anew() -> None:
    """The old units go, the new ones stay for their whole period."""
    book = LeaseBook()
    _asked(book)
    book.grant(SLOT, quota(100, reset_at=NOW + 10), _at(0))
    for n in range(200):
        book.ask(SLOT, 1, None, _at(9 + n / 250))
    fresh = _asked(book, seconds=9.9)
    book.grant(SLOT, quota(100, reset_at=NOW + 1000), _at(11))
    assert book.held == fresh
    assert book.draw(SLOT, 1, _at(500)) is not None


def test_after_a_refusal_or_a_failure_nothing_is_asked_for_a_second() -> None:
    """Exact meanwhile."""
    book = LeaseBook()
    _asked(book)
    book.refuse(SLOT, _at(0))
    assert _asked(book, seconds=HOLD_OFF_SECONDS - 0.1) == 0
    assert _asked(book, seconds=HOLD_OFF_SECONDS) > 0


def test_a_refused_refill_keeps_the_units_in_hand() -> None:
    """They are paid for."""
    book = LeaseBook()
    units = _asked(book)
    book.grant(SLOT, PLENTY, _at(0))
    for n in range(200):
        book.ask(SLOT, 1, None, _at(n / 200))
    assert _asked(book, seconds=1.0) > 0
    book.refuse(SLOT, _at(1))
    assert book.held == units
    assert book.draw(SLOT, 1, _at(1)) is not None


def test_what_is_surrendered_is_nobodys_lease_any_more() -> None:
    """At shutdown the units become credits, once."""
    book = LeaseBook()
    units = _asked(book)
    book.grant(SLOT, PLENTY, _at(0))
    assert [lot.units for lot in book.surrender(NOW)] == [units]
    assert book.surrender(NOW) == []
    assert book.draw(SLOT, 1, _at(0)) is None


def test_a_full_book_leaves_other_slots_to_exact_calls() -> None:
    """A lease in hand is never thrown away for another."""
    book = LeaseBook(capacity=1)
    _asked(book)
    book.grant(SLOT, PLENTY, _at(0))
    assert book.ask(("other", "ai_calls"), 1, left(100_000, 100_000), _at(0)) == 0
    assert book.held > 0


def test_an_empty_slot_makes_room() -> None:
    """Ten thousand orgs pass through; the book stays as long as it is."""
    book = LeaseBook(capacity=1)
    book.ask(SLOT, 1, None, _at(0))
    assert book.ask(("other", "ai_calls"), 1, left(100_000, 100_000), _at(0)) > 0
    assert len(book) == 1


@pytest.mark.parametrize(("limit", "bound"), [(100, 32), (3200, 32), (6000, 60), (25_000, 250)])
def test_a_replica_holds_a_hundredth_of_the_limit_at_most(limit: int, bound: int) -> None:
    """Or 32 units: what stays idle at one replica, and what a kill can lose, whatever the rate."""
    assert most_held(limit) == bound
    book = LeaseBook()
    for n in range(4000):
        now = _at(n / 2000)
        book.draw(SLOT, 1, now)
        if book.ask(SLOT, 1, left(limit, limit), now):
            assert book.held + book.requested <= bound
            book.grant(SLOT, quota(limit, limit=limit), now)
    assert 0 < book.held <= bound


def test_units_that_were_granted_late_by_our_clock_can_be_drawn() -> None:
    """A `reset_at` that is past when its answer comes: the units are paid for."""
    book = LeaseBook()
    units = _asked(book)
    book.grant(SLOT, quota(100, reset_at=NOW - 60), _at(0))
    for _ in range(units):
        assert book.draw(SLOT, 1, _at(1)) is not None
    assert book.expired == 0


def test_no_fill_follows_at_once_on_units_that_expired_unused() -> None:
    """Where our clock is wrong each of them would end so, and burn the quota."""
    book = LeaseBook()
    units = _asked(book)
    book.grant(SLOT, quota(100, reset_at=NOW + 10), _at(0))
    assert book.draw(SLOT, 1, _at(10)) is None
    assert _asked(book, seconds=10) == 0
    assert _asked(book, seconds=10 + HOLD_OFF_SECONDS) > 0
    assert book.expired == units


def test_what_a_call_owes_is_taken_in_part_and_feeds_the_rate() -> None:
    """More is owed than is in hand: the next lease is larger."""
    book = LeaseBook()
    units = _asked(book)
    book.grant(SLOT, quota(1000, limit=100_000), _at(0))
    assert book.units_of(SLOT, _at(0)) == units
    assert book.draw_part(SLOT, units + 50, _at(0)) == units
    assert book.units_of(SLOT, _at(0)) == 0
    assert book.draw_part(SLOT, 1, _at(0)) == 0
    assert book.ask(SLOT, 1, left(100_000, 100_000), _at(0)) > units


def test_a_slot_without_a_lease_owes_elsewhere() -> None:
    """And its book stays empty."""
    book = LeaseBook()
    assert book.draw_part(SLOT, 5, _at(0)) == 0
    assert len(book) == 0
