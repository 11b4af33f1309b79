"""The hold book: units that calls under way may still cost, kept free of other calls.

A hold is taken in the synchronous step in which its call is decided, so that of many calls at once
none counts on units that another has announced. It shrinks to what is owed when the cost is known,
and ends when the platform has counted or refused that: at rest the book is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import auto
from typing import Final

from sidecar.admission.steps import Listed, step
from sidecar.domain.model import Slot


class HoldState(Listed):
    """Where a call's hold stands."""

    ABSENT = auto()
    TAKEN = auto()  # the call is being decided; its deposit may not be counted yet
    RUNNING = auto()  # the call was admitted
    OWED = auto()  # the cost is known, and what is owed is being consumed
    WAITING = auto()  # what is owed waits in the journal for an answer


class HoldEvent(Listed):
    """What can happen to a hold: every way in which a call can end is in one."""

    TAKE = auto()
    ADMIT = auto()
    REFUSE = auto()  # the call was denied, its client left, or its decision failed
    COVER = auto()  # the deposit, a credit or a lease covers the cost, or the call is refunded
    OWE = auto()
    LESSEN = auto()  # the platform refused, and less is asked for
    WAIT = auto()  # no answer
    RESOLVE = auto()  # counted, refused with nothing more to ask for, or dropped by the journal
    RESTORE = auto()  # owed by a call of a process that has ended


STEPS: Final = {
    (HoldState.ABSENT, HoldEvent.TAKE): HoldState.TAKEN,
    (HoldState.ABSENT, HoldEvent.OWE): HoldState.OWED,
    (HoldState.ABSENT, HoldEvent.RESTORE): HoldState.WAITING,
    (HoldState.TAKEN, HoldEvent.ADMIT): HoldState.RUNNING,
    (HoldState.TAKEN, HoldEvent.REFUSE): HoldState.ABSENT,
    (HoldState.RUNNING, HoldEvent.COVER): HoldState.ABSENT,
    (HoldState.RUNNING, HoldEvent.OWE): HoldState.OWED,
    (HoldState.OWED, HoldEvent.LESSEN): HoldState.OWED,
    (HoldState.OWED, HoldEvent.WAIT): HoldState.WAITING,
    (HoldState.OWED, HoldEvent.RESOLVE): HoldState.ABSENT,
    (HoldState.WAITING, HoldEvent.LESSEN): HoldState.WAITING,
    (HoldState.WAITING, HoldEvent.WAIT): HoldState.WAITING,
    (HoldState.WAITING, HoldEvent.RESOLVE): HoldState.ABSENT,
}


@dataclass(frozen=True, slots=True)
class Held:
    """Units of one org's resource that are spoken for.

    `deciding`: of calls that are being decided, their deposits included. `admitted`: of calls that
    were.
    """

    deciding: int
    admitted: int

    @property
    def units(self) -> int:
        """All of them."""
        return self.deciding + self.admitted


NOTHING_HELD: Final = Held(0, 0)


class _Hold:
    """`apart`: those of its units that other replicas are not to count yet."""

    __slots__ = ("apart", "slot", "state", "units")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.state = HoldState.ABSENT
        self.units = 0
        self.apart = 0


class _Sums:
    __slots__ = ("admitted", "apart", "deciding", "holds")

    def __init__(self) -> None:
        self.holds = 0
        self.deciding = 0
        self.admitted = 0
        self.apart = 0

    @property
    def shown(self) -> int:
        return self.deciding + self.admitted - self.apart

    def add(self, state: HoldState, units: int) -> None:
        if state is HoldState.TAKEN:
            self.deciding += units
        else:
            self.admitted += units


class HoldBook:
    """Holds by the key of their call, with a sum for each org and resource.

    Changes only synchronously. Bounded by the calls under way, and by the journal. `by_slot` is
    empty where nothing is held, which a call finds out without a step into here.
    """

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}
        self._sums: dict[Slot, _Sums] = {}
        self.by_slot: Final[Mapping[Slot, object]] = self._sums
        self._changed: Callable[[Slot], None] | None = None

    def share(self, changed: Callable[[Slot], None]) -> None:
        """From now on call `changed` with each slot whose units for other replicas changed."""
        self._changed = changed

    def slots(self) -> Iterable[Slot]:
        """Go through the slots of which anything is held."""
        return self._sums.keys()

    def shown(self, slot: Slot) -> int:
        """Count the units of a slot that other replicas are to leave free."""
        sums = self._sums.get(slot)
        return 0 if sums is None else sums.shown

    def show(self, call: str, units: int) -> None:
        """Let other replicas count so many units of a call that is being decided."""
        hold = self._holds[call]
        sums = self._sums[hold.slot]
        sums.apart += hold.units - units - hold.apart
        hold.apart = hold.units - units

    def __len__(self) -> int:
        return len(self._holds)

    def held(self, slot: Slot) -> Held:
        """Say what is spoken for of a slot."""
        sums = self._sums.get(slot)
        if sums is None:
            return NOTHING_HELD
        return Held(sums.deciding, sums.admitted)

    def state(self, call: str) -> HoldState:
        """Say where the hold of a call stands."""
        hold = self._holds.get(call)
        return HoldState.ABSENT if hold is None else hold.state

    def by_resource(self) -> Iterator[tuple[str, int]]:
        """Go through the units of each slot, with its resource."""
        for slot, sums in self._sums.items():
            yield slot[1], sums.deciding + sums.admitted

    def take(self, call: str, slot: Slot, units: int, *, deposit: int) -> None:
        """Hold `units` for a call that is being decided, and its deposit until it is admitted.

        Where holds are shared, other replicas count nothing of it before `show` or `admit`.
        """
        self._move(call, HoldEvent.TAKE, units + deposit, slot)

    def admit(self, call: str, units: int) -> None:
        """Hold `units` while the call runs: the platform has counted its deposit."""
        self._move(call, HoldEvent.ADMIT, units)

    def refuse(self, call: str) -> None:
        """End the hold of a call that is not admitted."""
        self._move(call, HoldEvent.REFUSE, 0)

    def cover(self, call: str) -> None:
        """End the hold of a call that owes nothing; one of a route without holds has none."""
        if call in self._holds:
            self._move(call, HoldEvent.COVER, 0)

    def owe(self, call: str, slot: Slot, units: int) -> None:
        """Hold what the call owes, until the platform has counted or refused it."""
        self._move(call, HoldEvent.OWE, units, slot)

    def lessen(self, call: str, units: int) -> None:
        """Hold less: the platform refused, and is asked for `units`."""
        self._move(call, HoldEvent.LESSEN, units)

    def wait(self, call: str) -> None:
        """Keep what is owed until the platform answers."""
        self._move(call, HoldEvent.WAIT, self._holds[call].units)

    def restore(self, call: str, slot: Slot, units: int) -> None:
        """Hold what an earlier process owed."""
        self._move(call, HoldEvent.RESTORE, units, slot)

    def resolve(self, call: str) -> None:
        """End the hold of a call of whose cost nothing more is asked for."""
        self._move(call, HoldEvent.RESOLVE, 0)

    def _move(self, call: str, event: HoldEvent, units: int, slot: Slot = ("", "")) -> None:
        """Take a step; `slot` for one that may be the first of its call."""
        hold = self._holds.get(call)
        before = HoldState.ABSENT
        if hold is not None:
            before, slot = hold.state, hold.slot
        after = step(STEPS, before, event)
        sums = self._sums.get(slot)
        if sums is None:
            sums = self._sums[slot] = _Sums()
        shown = sums.shown
        if hold is None:
            hold = self._holds[call] = _Hold(slot)
            sums.holds += 1
        else:
            sums.add(before, -hold.units)
            sums.apart -= hold.apart
        hold.state = after
        hold.units = units
        hold.apart = units if self._changed is not None and after is HoldState.TAKEN else 0
        if after is not HoldState.ABSENT:
            sums.add(after, units)
            sums.apart += hold.apart
        else:
            del self._holds[call]
            sums.holds -= 1
            if not sums.holds:
                del self._sums[slot]
        if self._changed is not None and sums.shown != shown:
            self._changed(slot)
