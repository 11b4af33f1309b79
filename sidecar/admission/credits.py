"""The credit book: units paid and not used, waiting to pay for the next call.

A deposit is paid whole or not at all: paid half by credit and half by the platform it would need
two refunds and two keys. What a call owes beyond its deposit is paid in part, since it is never
given back. Units are good until their quota period ends; last month's are worth nothing this month.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sidecar.domain.model import Slot

CAPACITY: Final = 10_000
"""Orgs times resources that can hold credits."""

_MAX_LOTS: Final = 8  # more only where the platform's periods roll: then the earliest two join


@dataclass(frozen=True, slots=True)
class Lot:
    """Paid units of one slot that end together, at `good_until` (Unix seconds)."""

    org_id: str
    resource: str
    units: int
    good_until: float


class CreditBook:
    """Credits by org and resource. Changes only synchronously.

    What is given up is added to `expired` or `displaced`, which the owner takes and reports.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.by_slot: OrderedDict[Slot, dict[float, int]] = OrderedDict()
        self.expired = 0
        """Units whose period has ended unused."""
        self.displaced = 0
        """Units given up to stay within bounds."""

    def add(self, slot: Slot, units: int, good_until: float, now: float) -> None:
        """Owe `units` to the slot; where their period has ended they are worth nothing."""
        if units <= 0:
            return
        if good_until <= now:
            self.expired += units
            return
        lots = self.by_slot.setdefault(slot, {})
        lots[good_until] = lots.get(good_until, 0) + units
        if len(lots) > _MAX_LOTS:
            first, second = sorted(lots)[:2]
            lots[first] += lots.pop(second)
        self.by_slot.move_to_end(slot)
        if len(self.by_slot) > self._capacity:
            _, oldest = self.by_slot.popitem(last=False)
            self.displaced += sum(oldest.values())

    def draw(self, slot: Slot, amount: int, now: float) -> float | None:
        """Pay `amount` units at once; return until when they were good, None when too few."""
        lots = self._live(slot, now)
        if lots is None or sum(lots.values()) < amount:
            return None
        first = min(lots)
        self._spend(slot, lots, amount)
        return first

    def draw_part(self, slot: Slot, most: int, now: float) -> int:
        """Pay up to `most` units; return how many."""
        lots = self._live(slot, now)
        if lots is None:
            return 0
        paid = min(most, sum(lots.values()))
        self._spend(slot, lots, paid)
        return paid

    def units_of(self, slot: Slot, now: float) -> int:
        """Count the units owed to a slot."""
        lots = self._live(slot, now)
        return 0 if lots is None else sum(lots.values())

    def units(self, now: float) -> int:
        """Count the units owed, all slots together."""
        for slot in list(self.by_slot):
            self._live(slot, now)
        return sum(sum(lots.values()) for lots in self.by_slot.values())

    def lots(self) -> Iterator[Lot]:
        """Go through all that is owed, to keep it over a restart."""
        for (org_id, resource), lots in self.by_slot.items():
            for end, units in lots.items():
                yield Lot(org_id, resource, units, end)

    def _spend(self, slot: Slot, lots: dict[float, int], units: int) -> None:
        for end in sorted(lots):
            taken = min(units, lots[end])
            units -= taken
            lots[end] -= taken
            if not lots[end]:
                del lots[end]
        if not lots:
            del self.by_slot[slot]

    def _live(self, slot: Slot, now: float) -> dict[float, int] | None:
        lots = self.by_slot.get(slot)
        if lots is None:
            return None
        for end in [end for end in lots if end <= now]:
            self.expired += lots.pop(end)
        if not lots:
            del self.by_slot[slot]
            return None
        return lots
