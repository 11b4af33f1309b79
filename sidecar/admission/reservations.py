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
from sidecar.admission.holds import HoldBook, HoldEvent
from sidecar.admission.moment import Moment, Slot
from sidecar.domain.model import Charge, Quota
from sidecar.domain.usage import Terms

FRESH_SECONDS: Final = 5.0
"""How long an answer decides about holds without another: as long as a denial."""

CAPACITY: Final = 10_000
"""Orgs times resources whose last answer is remembered for that."""


@dataclass(frozen=True, slots=True)
class Short:
    """The call's worst case does not fit; `quota` with what others hold taken off."""

    quota: Quota


@dataclass(frozen=True, slots=True)
class Fits:
    """The call may be charged. `ask`: by asking the platform, whatever was paid before.

    `reserved`: units that are not free for its deposit, its own hold included.
    """

    ask: bool
    reserved: int


class Reservations:
    """Takes a call's hold, and checks that it fits. Changes only synchronously."""

    def __init__(self, *, books: Books, holds: HoldBook, capacity: int = CAPACITY) -> None:
        """Check by `books`, and keep holds in `holds`."""
        self._books = books
        self._holds = holds
        self._capacity = capacity
        self._seen: OrderedDict[Slot, tuple[Quota, float]] = OrderedDict()

    def begin(self, charge: Charge, terms: Terms, now: Moment) -> Short | Fits:
        """Take the hold of a call that is about to be charged, unless it cannot fit."""
        slot = (charge.org_id, charge.resource)
        hold = _hold_of(terms)
        ask = False
        if hold is not None:
            fresh = self._fresh(slot, now)
            known = self._books.ledger.quota(*slot) if fresh is None else fresh
            if known is not None and known.reset_at > now.unix:
                held = self._holds.held(slot).units
                left = self._left(slot, known, held, now)
                if left is not None and left < charge.amount + hold:
                    # A deposit alone is the platform's to refuse, unless others hold its units.
                    if fresh is not None and (hold or held):
                        return Short(replace(known, remaining=max(0, left)))
                    ask = True
        reserved = self._holds.held(slot).units + (hold or 0)
        self._holds.take(terms.name(charge.key), slot, hold or 0, deposit=charge.amount)
        return Fits(ask, 0 if terms.forgive else reserved)

    def confirm(
        self, charge: Charge, terms: Terms, answered: Quota | None, now: Moment
    ) -> Short | None:
        """Hold on while an admitted call runs; `answered`: by the platform, to its deposit.

        Where that leaves too little, the hold is ended, and the call is to be refused.
        """
        slot = (charge.org_id, charge.resource)
        hold = _hold_of(terms)
        if answered is not None:
            answered = self._see(slot, answered, now)
            left = self._left(slot, answered, self._holds.held(slot).admitted, now)
            if left is None:
                hold = 0
            elif hold is not None and left < hold:
                # Also a hold of 0: its deposit may be what another call holds.
                self._holds.end(terms.name(charge.key), HoldEvent.REFUSE)
                return Short(replace(answered, remaining=max(0, left)))
        self._holds.admit(terms.name(charge.key), hold or 0)
        return None

    def refused(self, charge: Charge, terms: Terms) -> None:
        """End the hold of a call that is denied."""
        self._holds.end(terms.name(charge.key), HoldEvent.REFUSE)

    def abandoned(self, charge: Charge, terms: Terms) -> None:
        """End the hold of a call whose decision was given up."""
        self._holds.end(terms.name(charge.key), HoldEvent.ABANDON)

    def _left(self, slot: Slot, quota: Quota, held: int, now: Moment) -> int | None:
        """Return the units that are free, those that were paid before included; None: no limit."""
        if quota.unlimited:
            return None
        paid = self._books.credits.units_of(slot, now.unix)
        return quota.remaining + paid + self._books.leases.units_of(slot, now) - held

    def _fresh(self, slot: Slot, now: Moment) -> Quota | None:
        """Return the platform's last answer, if it came a moment ago."""
        seen = self._seen.get(slot)
        if seen is None or now.monotonic - seen[1] >= FRESH_SECONDS:
            return None
        latest = self._books.ledger.quota(*slot)  # also the answer to a settlement, or a fill
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


def _hold_of(terms: Terms) -> int | None:
    """Return the units to hold, None for a call that no hold refuses."""
    holds = terms.hold or terms.rule.hold is not None
    return terms.hold if holds and not terms.forgive else None


def _later(one: Quota, other: Quota) -> Quota:
    """Return which of two answers of one moment the platform gave last."""
    same = one.limit == other.limit and one.reset_at == other.reset_at
    return other if same and other.used > one.used else one
