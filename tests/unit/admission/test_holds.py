"""The hold book: what is spoken for, and how every hold ends."""

from __future__ import annotations

import pytest

from sidecar.admission.holds import NOTHING_HELD, STEPS, Held, HoldBook, HoldEvent, HoldState
from sidecar.admission.steps import IllegalStep

SLOT = ("org", "ai_calls")


def running(units: int = 30) -> HoldBook:
    """Make a book with the hold of one admitted call."""
    book = HoldBook()
    book.take("call", SLOT, units, deposit=1)
    book.admit("call", units)
    return book


def test_a_call_that_is_being_decided_holds_its_deposit_too() -> None:
    """Another decision in the same moment must not count on it."""
    book = HoldBook()
    book.take("call", SLOT, 30, deposit=2)
    assert book.held(SLOT) == Held(deciding=32, admitted=0)
    book.admit("call", 30)
    assert book.held(SLOT) == Held(deciding=0, admitted=30)


def test_a_hold_shrinks_to_what_is_owed() -> None:
    """Then to what waits for the platform, and to what is asked for after a refusal."""
    book = running()
    book.owe("call", SLOT, 12)
    assert book.held(SLOT) == Held(0, 12)
    book.wait("call")
    assert book.held(SLOT) == Held(0, 12)
    book.lessen("call", 5)
    assert book.held(SLOT) == Held(0, 5)


def test_what_is_owed_ends_with_the_platforms_word() -> None:
    """Counted, or refused."""
    book = running()
    book.owe("call", SLOT, 12)
    book.resolve("call")
    assert book.held(SLOT) is NOTHING_HELD
    assert len(book) == 0


def test_a_call_that_is_not_admitted_holds_nothing() -> None:
    """Denied, or its client left."""
    book = HoldBook()
    book.take("call", SLOT, 30, deposit=1)
    book.refuse("call")
    assert book.held(SLOT) is NOTHING_HELD


def test_a_covered_call_holds_nothing() -> None:
    """It owes nothing."""
    book = running()
    book.cover("call")
    assert len(book) == 0


def test_what_an_earlier_process_owed_is_held() -> None:
    """Until the journal has reported it, or gives it up."""
    book = HoldBook()
    book.restore("call", SLOT, 9)
    assert book.held(SLOT) == Held(0, 9)
    book.resolve("call")
    assert len(book) == 0


def test_other_replicas_count_a_call_once_it_was_shown_or_admitted() -> None:
    """Its end is reported too."""
    changed: list[tuple[tuple[str, str], int]] = []
    book = HoldBook()
    book.share(lambda slot: changed.append((slot, book.shown(slot))))
    book.take("call", SLOT, 30, deposit=2)
    assert book.shown(SLOT) == 0
    book.show("call", 32)
    assert book.shown(SLOT) == 32
    book.admit("call", 30)
    book.cover("call")
    assert changed == [(SLOT, 30), (SLOT, 0)]


def test_slots_are_apart() -> None:
    """One org's holds are not another's; the gauge has them by resource."""
    book = running()
    book.take("other", ("other", "api_calls"), 4, deposit=1)
    assert book.held(("other", "api_calls")) == Held(5, 0)
    assert sorted(book.by_resource()) == [("ai_calls", 30), ("api_calls", 5)]


@pytest.mark.parametrize("state", HoldState)
@pytest.mark.parametrize("event", HoldEvent)
def test_a_step_outside_the_table_is_an_error(state: HoldState, event: HoldEvent) -> None:
    """And changes nothing."""
    if (state, event) in STEPS:
        return
    book = HoldBook()
    if state is not HoldState.ABSENT:
        book.restore("call", SLOT, 7)
        book._holds["call"].state = state
    with pytest.raises(IllegalStep):
        book._move("call", event, 3, SLOT)
    assert book.state("call") is state


def test_every_state_has_a_way_out() -> None:
    """None can stay for ever but the one of no hold."""
    ends = {HoldState.ABSENT}
    for _ in HoldState:
        ends |= {before for (before, _), after in STEPS.items() if after in ends}
    assert ends == set(HoldState)
