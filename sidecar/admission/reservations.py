"""Whether a call's worst case fits: what is known of the quota, less what is spoken for.

A call is checked before its deposit is consumed, against what is known, and again against the
answer to that. What is known for longer than a moment may be wrong by now: it never refuses a call
by itself, and the platform is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from sidecar.admission.books import Books
from sidecar.admission.findings import ShortOfHold
from sidecar.admission.holds import HoldBook
from sidecar.admission.moment import Moment
from sidecar.domain.holds import HoldRoom, Standing
from sidecar.domain.model import Charge, Slot
from sidecar.domain.quota import Quota
from sidecar.domain.usage import Terms

FRESH_SECONDS: Final = 5.0
"""How long an answer decides about holds without another: as long as a denial."""

CAPACITY: Final = 10_000
"""Orgs times resources whose last answer is remembered for that."""


@dataclass(frozen=True, slots=True)
class Fits:
    """The call may be charged. `ask`: by asking the platform, whatever was paid before.

    `reserved`: units that are not free for its deposit, its own hold included. `room`: what all
    replicas together say; None where they were not asked, or there was no answer.
    """

    ask: bool
    reserved: int
    room: HoldRoom | None = None


class Reservations:
    """Takes a call's hold, and checks that it fits. Changes only synchronously."""

    def __init__(self, *, books: Books, holds: HoldBook, capacity: int = CAPACITY) -> None:
        """Check by `books`, and keep holds in `holds`."""
        self._books = books
        self._holds = holds
        self._capacity = capacity
        self._seen: OrderedDict[Slot, tuple[Quota, float]] = OrderedDict()

    def begin(self, charge: Charge, terms: Terms, now: Moment) -> ShortOfHold | Fits:
        """Take the hold of a call that is about to be charged, unless it cannot fit."""
        held = self._holds.held(charge.slot).units
        ask = self._check(charge, terms.hold, held, now)
        if isinstance(ask, ShortOfHold):
            return ask
        self._holds.take(terms.name(charge.key), charge.slot, terms.hold, deposit=charge.amount)
        return Fits(ask, held + terms.hold)

    def beside(self, charge: Charge, others: int, now: Moment) -> ShortOfHold | Fits:
        """Check a call that is not settled, and holds nothing: it leaves what others hold.

        `others`: units that are held at other replicas.
        """
        held = self._holds.held(charge.slot).units + others
        ask = self._check(charge, 0, held, now) if held else False
        return ask if isinstance(ask, ShortOfHold) else Fits(ask, held)

    def leaves(
        self, charge: Charge, answered: Quota, others: int, now: Moment
    ) -> ShortOfHold | None:
        """Say whether such a call has taken what others hold, by the answer to it."""
        held = self._holds.held(charge.slot).admitted + others
        if not held:
            return None
        answered = self._see(charge.slot, answered, now)
        return self._overdrawn(charge, answered, held, now)

    def short_beside(self, charge: Charge, others: int, now: Moment) -> ShortOfHold | None:
        """Say whether a hold that was begun does not fit beside what `others` hold."""
        fresh = self._fresh(charge.slot, now)
        if not others or fresh is None or fresh.reset_at <= now.unix:
            return None
        held = self._holds.held(charge.slot).units + others
        return self._overdrawn(charge, fresh, held, now)

    def fits(self, charge: Charge, terms: Terms, answered: Quota, others: int, now: Moment) -> bool:
        """Say whether the answer to a deposit leaves the call's hold beside what `others` hold."""
        before = self._fresh(charge.slot, now)
        latest = answered if before is None else _later(answered, before)
        held = self._holds.held(charge.slot).admitted + others
        left = self._left(charge.slot, latest, held, now)
        return left is None or left >= terms.hold

    def confirm(
        self,
        charge: Charge,
        terms: Terms,
        answered: Quota | None,
        now: Moment,
        *,
        others: int = 0,
    ) -> ShortOfHold | None:
        """Hold on while an admitted call runs; `answered`: by the platform, to its deposit.

        Where that leaves too little beside what `others` hold, the hold is ended, and the call is
        to be refused: if its deposit can be given back. Another call runs all the same.
        """
        call, hold = terms.name(charge.key), terms.hold
        if answered is not None:
            answered = self._see(charge.slot, answered, now)
            held = self._holds.held(charge.slot).admitted + others
            left = self._left(charge.slot, answered, held, now)
            if left is None:
                hold = 0
            elif left < hold and charge.private:
                # Also a hold of 0: its deposit may be what another call holds.
                self._holds.refuse(call)
                return ShortOfHold(replace(answered, remaining=max(0, left)))
        self._holds.admit(call, hold)
        return None

    def known(self, charge: Charge, now: Moment) -> bool:
        """Say whether what is known decides about a hold: a new answer, or an org without limit."""
        fresh = self._fresh(charge.slot, now)
        return fresh is not None or self.unlimited(charge)

    def unlimited(self, charge: Charge) -> bool:
        """Say whether the org is known to have no limit: it is never held."""
        known = self._books.ledger.quota(charge.slot)
        return known is not None and known.unlimited

    def standing(self, slot: Slot, now: Moment) -> Standing:
        """Say how a slot stands, for other replicas."""
        answered, age = self._fresh(slot, now), 0.0
        latest = self._books.ledger.answer(slot)  # also the answer to a settlement, or a fill
        if latest is not None:
            age = max(0.0, now.unix - latest.seen_at)
            if answered is None and age < FRESH_SECONDS:
                answered = latest.quota
        return Standing(self._holds.shown(slot), self._paid(slot, now), answered, age)

    def _check(self, charge: Charge, hold: int, held: int, now: Moment) -> ShortOfHold | bool:
        """Check a call beside what is `held`; where it fits, say whether the platform is asked."""
        slot = charge.slot
        fresh = self._fresh(slot, now)
        known = self._books.ledger.quota(slot) if fresh is None else fresh
        if known is None or known.reset_at <= now.unix:
            return False
        needed = charge.amount + hold
        left = self._left(slot, known, held, now)
        if left is None or left - self._undrawable(charge, needed, now) >= needed:
            return False
        # A deposit alone is the platform's to refuse, unless others hold its units.
        if fresh is not None and (hold or held):
            return ShortOfHold(replace(known, remaining=max(0, left)))
        return True

    def _overdrawn(
        self, charge: Charge, quota: Quota, held: int, now: Moment
    ) -> ShortOfHold | None:
        """Say whether a call, counted in `quota` or in `held`, takes units that others hold."""
        left = self._left(charge.slot, quota, held, now)
        if left is None or left >= 0:
            return None
        return ShortOfHold(replace(quota, remaining=max(0, left + charge.amount)))

    def _left(self, slot: Slot, quota: Quota, held: int, now: Moment) -> int | None:
        """Return the units that are free, those that were paid before included; None: no limit."""
        return None if quota.unlimited else quota.remaining + self._paid(slot, now) - held

    def _undrawable(self, charge: Charge, needed: int, now: Moment) -> int:
        """Count the credits that a call cannot draw, which may need so many units.

        One that gets nothing back draws them whole or not at all.
        """
        if charge.private:
            return 0
        credited = self._books.credits.units_of(charge.slot, now.unix)
        return 0 if credited >= needed else credited

    def _paid(self, slot: Slot, now: Moment) -> int:
        """Count the units that were counted for the org and are not used."""
        return self._books.credits.units_of(slot, now.unix) + self._books.leases.units_of(slot, now)

    def _fresh(self, slot: Slot, now: Moment) -> Quota | None:
        """Return the platform's last answer, if it came a moment ago."""
        seen = self._seen.get(slot)
        if seen is None or now.monotonic - seen[1] >= FRESH_SECONDS:
            return None
        latest = self._books.ledger.quota(slot)  # also the answer to a settlement, or a fill
        return seen[0] if latest is None else _later(latest, seen[0])

    def _see(self, slot: Slot, answered: Quota, now: Moment) -> Quota:
        """Remember an answer; one that was overtaken by a later one counts as that."""
        before = self._fresh(slot, now)
        if before is not None:
            answered = _later(answered, before)
        self._seen[slot] = (answered, now.monotonic)
        self._seen.move_to_end(slot)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return answered


def _later(one: Quota, other: Quota) -> Quota:
    """Return which of two answers of one moment the platform gave last."""
    same = one.limit == other.limit and one.reset_at == other.reset_at
    return other if same and other.used > one.used else one
