"""The hold book under any order of events: its sums are those of a plain model, and 0 at rest."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.admission.holds import STEPS, Held, HoldBook, HoldEvent, HoldState

SLOTS = [("org_a", "ai_calls"), ("org_a", "seats"), ("org_b", "ai_calls")]
UNITS = st.integers(0, 50)


class Holds(RuleBasedStateMachine):
    """Calls of two orgs; the model is a list of what each holds, and what others may count."""

    def __init__(self) -> None:
        super().__init__()
        self.book = HoldBook()
        self.book.share(self._changed)
        self.reported: dict[tuple[str, str], int] = {}
        self.apart: dict[str, int] = {}
        self.calls: dict[str, tuple[tuple[str, str], HoldState, int]] = {}
        self.serial = 0

    def _changed(self, slot: tuple[str, str]) -> None:
        self.reported[slot] = self.book.shown(slot)

    def _new(self) -> str:
        self.serial += 1
        return f"call {self.serial}"

    @rule(slot=st.sampled_from(SLOTS), units=UNITS, deposit=st.integers(1, 5))
    def take(self, slot: tuple[str, str], units: int, deposit: int) -> None:
        call = self._new()
        self.book.take(call, slot, units, deposit=deposit)
        self.calls[call] = (slot, HoldState.TAKEN, units + deposit)
        self.apart[call] = units + deposit

    @precondition(lambda self: self.apart)
    @rule(data=st.data())
    def show(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.apart)))
        slot, _, units = self.calls[call]
        shown = data.draw(st.integers(0, units))
        self.book.show(call, shown)
        self.apart[call] = units - shown
        self._changed(slot)  # by who shows it

    @rule(slot=st.sampled_from(SLOTS), units=UNITS)
    def restore(self, slot: tuple[str, str], units: int) -> None:
        call = self._new()
        self.book.restore(call, slot, units)
        self.calls[call] = (slot, HoldState.WAITING, units)

    @rule(slot=st.sampled_from(SLOTS), units=UNITS)
    def owe_without_a_hold(self, slot: tuple[str, str], units: int) -> None:
        call = self._new()
        self.book.cover(call)  # it has none, so nothing happens
        self.book.owe(call, slot, units)
        self.calls[call] = (slot, HoldState.OWED, units)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), units=UNITS)
    def proceed(self, data: st.DataObject, units: int) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls)))
        slot, state, before = self.calls[call]
        event = data.draw(st.sampled_from([e for s, e in STEPS if s is state]))
        after = STEPS[state, event]
        self.apart.pop(call, None)
        match event:
            case HoldEvent.ADMIT:
                self.book.admit(call, units)
            case HoldEvent.OWE:
                self.book.owe(call, slot, units)
            case HoldEvent.LESSEN:
                self.book.lessen(call, units)
            case HoldEvent.WAIT:
                units = before
                self.book.wait(call)
            case _:
                assert after is HoldState.ABSENT
                self._end(call, state)
        if after is HoldState.ABSENT:
            del self.calls[call]
        else:
            self.calls[call] = (slot, after, units)

    @invariant()
    def sums_are_those_of_the_model(self) -> None:
        for slot in SLOTS:
            of = [(state, units) for s, state, units in self.calls.values() if s == slot]
            assert self.book.held(slot) == Held(
                sum(units for state, units in of if state is HoldState.TAKEN),
                sum(units for state, units in of if state is not HoldState.TAKEN),
            )
            apart = sum(n for call, n in self.apart.items() if self.calls[call][0] == slot)
            assert self.book.shown(slot) == sum(units for _, units in of) - apart
            assert self.reported.get(slot, 0) == self.book.shown(slot)
        assert set(self.book.slots()) == {slot for slot, _, _ in self.calls.values()}
        assert len(self.book) == len(self.calls)

    def _end(self, call: str, state: HoldState) -> None:
        if state is HoldState.TAKEN:
            self.book.refuse(call)
        elif state is HoldState.RUNNING:
            self.book.cover(call)
        else:
            self.book.resolve(call)

    def teardown(self) -> None:
        for call, (_, state, _) in self.calls.items():
            self._end(call, state)
        assert len(self.book) == 0
        assert list(self.book.by_resource()) == []


TestHolds = Holds.TestCase
TestHolds.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
