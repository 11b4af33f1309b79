"""Whether a call's worst case fits beside those of the calls at every replica.

The book of this process decides first, at once. What fits there is taken in one step over all
replicas, before the deposit is consumed, by the latest answer that any of them has had. Where none
has had one a moment ago, it is taken in such a step after the deposit, by the answer to that.

Without an answer of the replicas' store a call is checked against what they held when last seen,
and soon after that against this process's holds alone.
"""

from __future__ import annotations

from typing import assert_never

from sidecar.admission.findings import ShortOfHold
from sidecar.admission.holds import HoldBook
from sidecar.admission.moment import Moment
from sidecar.admission.reservations import Fits, Reservations
from sidecar.domain.holds import HoldRoom, Shared, Standing
from sidecar.domain.model import Charge, Slot
from sidecar.domain.ports import Clock, SharedHolds
from sidecar.domain.quota import Quota
from sidecar.domain.usage import Terms


class SharedReservations:
    """`Reservations` of one process among replicas; also the `HoldSource` of the process."""

    def __init__(
        self, *, own: Reservations, holds: HoldBook, shared: SharedHolds, clock: Clock
    ) -> None:
        """Check by `own` and then by `shared`, which shows others what `holds` has."""
        self._own = own
        self._holds = holds
        self._shared = shared
        self._clock = clock
        holds.share(shared.changed)
        shared.begin(self)

    def others(self, slot: Slot) -> int:
        """Return the units that other replicas hold, as last seen."""
        return self._shared.others(slot)

    async def begun(self, charge: Charge, terms: Terms, fits: Fits) -> ShortOfHold | Fits:
        """Take what fits here over all replicas too; where it does not, the hold is ended."""
        slot, call = charge.slot, terms.name(charge.key)
        answer = None
        if not self._own.unlimited(charge):
            answer = await self._shared.take(slot, call, deposit=charge.amount, hold=terms.hold)
        others = self._shared.others(slot)
        if answer is None:
            short = self._own.short_beside(charge, others, Moment.of(self._clock))
        else:
            short = _short_of(answer)
        if short is not None:
            self._holds.refuse(call)
            return short
        room = None if answer is None else answer.room
        # What is not known is asked of the platform: neither a credit nor a lease says it.
        ask = fits.ask or room is HoldRoom.UNKNOWN
        return Fits(ask, fits.reserved + others, room)

    async def confirm(
        self, charge: Charge, terms: Terms, answered: Quota | None, room: HoldRoom | None
    ) -> ShortOfHold | None:
        """Hold on while an admitted call runs, as `Reservations.confirm` does."""
        slot, call = charge.slot, terms.name(charge.key)
        now = Moment.of(self._clock)
        others = self._shared.others(slot)
        if answered is not None and self._unsure(charge, terms, answered, room, others, now):
            # What others hold was seen before this answer, or they hold it since: ask them again.
            self._holds.show(call, 0)
            answer = await self._shared.take(slot, call, deposit=0, hold=terms.hold)
            short = None if answer is None else _short_of(answer)
            if short is not None:
                self._holds.refuse(call)
                return short
            free = answer is not None and answer.room is HoldRoom.FREE
            others = 0 if free else self._shared.others(slot)
            now = Moment.of(self._clock)
        return self._own.confirm(charge, terms, answered, now, others=others)

    def _unsure(  # noqa: PLR0917 - what `confirm` knows
        self,
        charge: Charge,
        terms: Terms,
        answered: Quota,
        room: HoldRoom | None,
        others: int,
        now: Moment,
    ) -> bool:
        """Whether all replicas have to decide, after the platform's answer to the deposit."""
        if not charge.private:  # nothing could be given back
            return False
        match room:
            case HoldRoom.UNKNOWN:
                return not answered.unlimited
            case HoldRoom.FREE:
                return not self._own.fits(charge, terms, answered, others, now)
            case HoldRoom.SHORT | None:
                return False
        assert_never(room)

    # what other replicas may know

    def slots(self) -> list[Slot]:
        """Go through the slots of which anything is held."""
        return list(self._holds.slots())

    def standing(self, slot: Slot) -> Standing:
        """Say how a slot stands in this process now."""
        return self._own.standing(slot, Moment.of(self._clock))

    def asked(self, call: str, units: int) -> None:
        """Take in that other replicas count so many units of a call that is being decided."""
        self._holds.show(call, units)


def _short_of(answer: Shared) -> ShortOfHold | None:
    """Return why a call is to be refused, if it is."""
    if answer.room is not HoldRoom.SHORT or answer.quota is None:
        return None
    return ShortOfHold(answer.quota)
