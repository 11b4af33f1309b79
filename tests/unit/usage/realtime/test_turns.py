"""Turns: each that is paid for, and each response, is settled once."""

from __future__ import annotations

import pytest

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import MissingCause, Tokens, Usage
from sidecar.usage.realtime.turns import (
    MAX_TURNS,
    TURN_STEPS,
    IllegalTurnStepError,
    SettleTurn,
    TurnBook,
    TurnPhase,
    TurnStep,
)

TOKENS = Tokens(3, 0, 0, 4)
DONE = AttemptEnd.DONE


def book() -> TurnBook:
    """Open a connection."""
    return TurnBook("gpt-realtime")


def missing(cause: MissingCause, text_bytes: int = 0) -> Usage:
    """Return the usage of a response that names none."""
    return Usage(None, None, "gpt-realtime", text_bytes, cause)


def asked(turns: TurnBook, event_id: str | None = None) -> int:
    """Pay for an event."""
    turn = turns.hold(event_id)
    assert turns.paid(turn) == []
    return turn


def test_every_turn_can_end() -> None:
    """From each phase a way leads to the end, and none leads out of it."""
    for phase in TurnPhase:
        seen, left = {phase}, [phase]
        while left:
            more = set(TURN_STEPS[left.pop()].values()) - seen
            seen |= more
            left += more
        assert TurnPhase.OVER in seen
    assert TURN_STEPS[TurnPhase.OVER] == {}


def test_a_step_that_is_not_in_the_table_is_a_fault() -> None:
    """An answer about a deposit comes once."""
    turns = book()
    turn = asked(turns)
    with pytest.raises(IllegalTurnStepError, match=TurnStep.PAID.name):
        turns.paid(turn)
    with pytest.raises(IllegalTurnStepError, match="7"):
        turns.refused(7)


def test_a_response_that_was_asked_for_settles_by_its_usage() -> None:
    """The model is the session's."""
    turns = book()
    turn = asked(turns)
    assert turns.created("r1") is None
    turns.model = "gpt-realtime-mini"
    usage = Usage(TOKENS, None, "gpt-realtime-mini", 0, None)
    assert turns.done("r1", TOKENS, failed=False) == [SettleTurn(turn, DONE, usage, paid=True)]
    assert len(turns) == 0


def test_a_response_that_the_server_starts_is_charged_when_it_begins() -> None:
    """It settles when it has ended and its deposit is answered, in either order."""
    turns = book()
    turn = turns.created("r1")
    assert turn is not None
    assert turns.done("r1", TOKENS, failed=False) == []
    (settled,) = turns.paid(turn)
    assert settled.paid
    assert settled.usage is not None


def test_a_response_that_was_refused_while_it_ran_is_settled_unpaid() -> None:
    """Its whole cost is owed."""
    turns = book()
    turn = turns.created("r1")
    assert turn is not None
    assert turns.refused(turn) == []
    (settled,) = turns.done("r1", TOKENS, failed=False)
    assert not settled.paid


def test_a_response_that_ended_before_it_was_refused_is_settled_unpaid() -> None:
    """The same, in the other order."""
    turns = book()
    turn = turns.created("r1")
    assert turn is not None
    assert turns.done("r1", TOKENS, failed=False) == []
    (settled,) = turns.refused(turn)
    assert not settled.paid


def test_an_event_that_is_refused_settles_nothing() -> None:
    """It was neither paid for nor passed on."""
    turns = book()
    assert turns.refused(turns.hold("e1")) == []
    assert len(turns) == 0


def test_a_response_ends_once() -> None:
    """A second response.done of one ID, and a second response.created, are nothing."""
    turns = book()
    asked(turns)
    turns.created("r1")
    assert turns.created("r1") is None
    assert len(turns.done("r1", TOKENS, failed=False)) == 1
    assert turns.created("r1") is None
    assert turns.done("r1", TOKENS, failed=False) == []


def test_without_usage_the_text_that_was_sent_counts() -> None:
    """Audio has no text; its transcript has."""
    turns = book()
    asked(turns)
    turns.created("r1")
    turns.sent("r1", 5)
    turns.sent("r2", 7)
    (settled,) = turns.done("r1", None, failed=False)
    assert settled.usage == missing(MissingCause.ABSENT, 5)


def test_a_failed_response_without_usage_costs_its_deposit() -> None:
    """As an answer of 5xx does."""
    turns = book()
    turn = asked(turns)
    turns.created("r1")
    expected = [SettleTurn(turn, AttemptEnd.FAILED, None, paid=True)]
    assert turns.done("r1", None, failed=True) == expected


def test_the_server_may_refuse_an_event() -> None:
    """By its ID, or by the code of a second response at once."""
    turns = book()
    first, second, third = asked(turns), asked(turns, "e2"), asked(turns, "e3")
    settled = turns.rejected("e2", of_create=False, failed=False)
    assert settled == [SettleTurn(second, DONE, None, paid=True)]
    settled = turns.rejected("e3", of_create=False, failed=True)
    assert settled == [SettleTurn(third, AttemptEnd.FAILED, None, paid=True)]
    assert turns.rejected(None, of_create=False, failed=False) == []
    settled = turns.rejected(None, of_create=True, failed=False)
    assert settled == [SettleTurn(first, DONE, None, paid=True)]


def test_an_end_that_is_too_long_to_be_read_ends_the_oldest_response() -> None:
    """It is missing because of that."""
    turns = book()
    assert turns.done_unread() == []
    first, _ = asked(turns), asked(turns)
    turns.created("r1")
    turns.created("r2")
    (settled,) = turns.done_unread()
    assert (settled.turn, settled.usage) == (first, missing(MissingCause.TOO_LARGE))


def test_the_end_of_the_connection_ends_every_turn() -> None:
    """What was asked for or runs is cut; what was held is given back when it is paid."""
    turns = book()
    running = asked(turns)
    turns.created("r1")
    started = turns.created("r2")
    assert started is not None
    held = turns.hold("e1")
    assert [each.turn for each in turns.lost()] == [running]
    assert turns.lost() == []
    (settled,) = turns.paid(started)
    assert settled.usage == missing(MissingCause.CUT)
    assert turns.paid(held) == [SettleTurn(held, AttemptEnd.UNREACHED, None, paid=True)]
    assert len(turns) == 0


def test_events_that_never_get_a_response_are_bounded() -> None:
    """The oldest ends, as one whose answer names no usage."""
    turns = book()
    numbers = [asked(turns) for _ in range(MAX_TURNS)]
    assert turns.forget_unanswered() == []
    asked(turns)
    (settled,) = turns.forget_unanswered()
    assert (settled.turn, settled.usage) == (numbers[0], missing(MissingCause.ABSENT))
