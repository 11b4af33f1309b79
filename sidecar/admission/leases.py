"""The lease book: units consumed ahead of their calls, drawn synchronously, never beyond the limit.

A lease is sized by how fast its org has lately been spending, by a small share of what remains, and
by a small part of the limit: many replicas can hold leases of one org without starving each other,
and what one of them holds idle, or loses when it is killed, is at most `most_held`. When a lease
would be too small to be worth holding, calls go back to one consume each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import auto
from typing import Final

from sidecar.admission.credits import Lot
from sidecar.admission.ledger import Remaining
from sidecar.admission.moment import Moment, good_until
from sidecar.admission.steps import Listed, step
from sidecar.domain.model import Slot
from sidecar.domain.quota import Quota

CAPACITY: Final = 10_000
"""Slots that can hold a lease; the calls of any other are exact."""

SHARE: Final = 16
"""A fill takes at most one part in this many of what remains: eight replicas hold at most half."""

LEAST_HELD: Final = 32
"""Units that a lease may hold however small the limit is."""

HELD_PART: Final = 100
"""A lease holds at most one part in this many of the limit, where that is more."""

HORIZON_SECONDS: Final = 1.0
"""How long a lease should last at the recent rate."""

LOW_WATER: Final = 0.25
"""A refill is asked for when less than this part of the horizon's units is left."""

RATE_MEMORY_SECONDS: Final = 2.0
"""How fast the recent rate forgets."""

HOLD_OFF_SECONDS: Final = 1.0
"""How long nothing is asked ahead after a refusal or a failure; calls are exact meanwhile."""

SMALLEST_CALLS: Final = 4
"""A lease for fewer calls than this saves nothing."""


def most_held(limit: int) -> int:
    """Return how many units of a limit one replica may hold: what a kill can lose."""
    return max(LEAST_HELD, limit // HELD_PART)


class LeaseState(Listed):
    """Where one slot's lease stands."""

    ABSENT = auto()
    REQUESTING = auto()  # no units; a consume for some is in flight
    HELD = auto()
    REFILLING = auto()  # units, and a consume for more in flight
    REFUSED = auto()  # no units, and none asked for until the hold-off ends


class LeaseEvent(Listed):
    """What can happen to a lease. EMPTY also stands for the end of the quota period."""

    ASK = auto()
    GRANT = auto()
    REFUSE = auto()  # too little remains, or no valid answer came
    EMPTY = auto()
    LAPSE = auto()


STEPS: Final = {
    (LeaseState.ABSENT, LeaseEvent.ASK): LeaseState.REQUESTING,
    (LeaseState.REQUESTING, LeaseEvent.GRANT): LeaseState.HELD,
    (LeaseState.REQUESTING, LeaseEvent.REFUSE): LeaseState.REFUSED,
    (LeaseState.HELD, LeaseEvent.ASK): LeaseState.REFILLING,
    (LeaseState.HELD, LeaseEvent.EMPTY): LeaseState.ABSENT,
    (LeaseState.REFILLING, LeaseEvent.GRANT): LeaseState.HELD,
    (LeaseState.REFILLING, LeaseEvent.REFUSE): LeaseState.HELD,
    (LeaseState.REFILLING, LeaseEvent.EMPTY): LeaseState.REQUESTING,
    (LeaseState.REFUSED, LeaseEvent.LAPSE): LeaseState.ABSENT,
}

_ASKING: Final = frozenset({LeaseState.REQUESTING, LeaseState.REFILLING})
_ASKABLE: Final = frozenset({LeaseState.ABSENT, LeaseState.HELD})


class _Lease:
    __slots__ = ("asked", "good_until", "hold_until", "noted_at", "quota", "rate", "state", "units")

    def __init__(self, now: float) -> None:
        self.state = LeaseState.ABSENT
        self.units = 0
        self.asked = 0
        self.quota: Quota | None = None
        self.good_until = 0.0  # Unix
        self.rate = 0.0  # units per second, lately
        self.noted_at = now
        self.hold_until = 0.0


@dataclass(init=False, slots=True, unsafe_hash=True)
class Leased:
    """Finding: units taken from a lease pay the call; until when they are good (Unix seconds).

    `quota` as the caller may see it: what the lease still holds counts as remaining.
    """

    quota: Final[Quota]
    good_until: Final[float]

    def __init__(self, quota: Quota, good_until: float) -> None:
        self.quota = quota
        self.good_until = good_until


class LeaseBook:
    """Leases by org and resource. Changes only synchronously.

    Units whose period ends unused are added to `expired`, which the owner takes and reports.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._leases: dict[Slot, _Lease] = {}
        self.expired = 0
        """Units whose period has ended unused."""

    def __len__(self) -> int:
        return len(self._leases)

    def draw(self, slot: Slot, amount: int, now: Moment) -> Leased | None:
        """Take `amount` units of the lease; None when it has too few."""
        lease = self._leases.get(slot)
        if lease is not None and lease.quota is not None and lease.good_until <= now.unix:
            self._expire(lease, now)
        if lease is None or lease.quota is None or lease.units < amount:
            return None
        lease.units -= amount
        held, quota, end = lease.units, lease.quota, lease.good_until
        if not held:
            self._empty(lease)
        if not quota.unlimited:
            quota = replace(quota, used=quota.used - held, remaining=quota.remaining + held)
        return Leased(quota, end)

    def draw_part(self, slot: Slot, most: int, now: Moment) -> int:
        """Take up to `most` units that a call owes; return how many. The rate counts all of them.

        A slot without a lease has no rate: its calls are exact.
        """
        lease = self._leases.get(slot)
        if lease is None:
            return 0
        _note_rate(lease, most, now)
        taken = min(most, self.units_of(slot, now))
        if taken:
            lease.units -= taken
            if not lease.units:
                self._empty(lease)
        return taken

    def units_of(self, slot: Slot, now: Moment) -> int:
        """Count the units in hand for a slot, those whose period has ended not."""
        lease = self._leases.get(slot)
        if lease is None or lease.quota is None or lease.good_until <= now.unix:
            return 0
        return lease.units

    def ask(self, slot: Slot, amount: int, last: Remaining | None, now: Moment) -> int:
        """Note a call of `amount` units; return how many to consume ahead now, 0 for none.

        `last` is what the platform's last answer leaves, without which nothing is asked ahead. When
        units are to be asked for, the lease waits for exactly one of `grant` and `refuse`.
        """
        lease = self._leases.get(slot)
        if lease is None:
            if len(self._leases) >= self._capacity and not self._make_room(now):
                return 0
            lease = self._leases[slot] = _Lease(now.monotonic)
        _note_rate(lease, amount, now)
        if lease.state is LeaseState.REFUSED and now.monotonic >= lease.hold_until:
            lease.state = step(STEPS, lease.state, LeaseEvent.LAPSE)
        wanted = max(math.ceil(lease.rate * HORIZON_SECONDS), SMALLEST_CALLS * amount)
        if last is not None and last.units is not None:
            wanted = min(wanted, most_held(last.limit))
        if (
            last is None
            or lease.state not in _ASKABLE
            or now.monotonic < lease.hold_until
            or lease.units >= wanted * LOW_WATER + amount
        ):
            return 0
        if last.units is not None:
            wanted = min(wanted, last.units // SHARE, most_held(last.limit) - lease.units)
        if wanted < SMALLEST_CALLS * amount:
            return 0
        lease.state = step(STEPS, lease.state, LeaseEvent.ASK)
        lease.asked = wanted
        return wanted

    def asking(self, slot: Slot) -> bool:
        """Say whether units are on their way."""
        lease = self._leases.get(slot)
        return lease is not None and lease.state in _ASKING

    def grant(self, slot: Slot, quota: Quota, now: Moment) -> None:
        """Add the units asked for; they are good until the period of `quota` ends."""
        lease = self._leases[slot]
        if lease.units and lease.good_until <= now.unix:
            self._expire(lease, now)
        end = good_until(quota, now.unix)
        lease.state = step(STEPS, lease.state, LeaseEvent.GRANT)
        if lease.units:
            # Units of two periods end with the earlier one: none outlives what paid for it.
            end = min(end, lease.good_until)
        lease.units += lease.asked
        lease.asked = 0
        lease.quota = quota
        lease.good_until = end

    def refuse(self, slot: Slot, now: Moment) -> None:
        """Too little remains for a lease, or no valid answer came: exact for a while."""
        lease = self._leases[slot]
        lease.state = step(STEPS, lease.state, LeaseEvent.REFUSE)
        lease.asked = 0
        lease.hold_until = now.monotonic + HOLD_OFF_SECONDS

    @property
    def held(self) -> int:
        """Count the units in hand, of all leases."""
        return sum(lease.units for lease in self._leases.values())

    @property
    def requested(self) -> int:
        """Count the units asked for, of all leases."""
        return sum(lease.asked for lease in self._leases.values())

    def surrender(self, now: float) -> list[Lot]:
        """Give up every unit in hand, as credits (Unix seconds): the process is ending."""
        lots = []
        for (org_id, resource), lease in self._leases.items():
            if lease.units:
                if lease.good_until > now:
                    lots.append(Lot(org_id, resource, lease.units, lease.good_until))
                else:
                    self.expired += lease.units
                self._empty(lease)
        return lots

    def _expire(self, lease: _Lease, now: Moment) -> None:
        """Give up units whose period has ended.

        No more are asked for at once: where our clock is wrong, each fill would end like this one.
        """
        self.expired += lease.units
        lease.hold_until = now.monotonic + HOLD_OFF_SECONDS
        self._empty(lease)

    def _empty(self, lease: _Lease) -> None:
        lease.units = 0
        lease.quota = None
        lease.state = step(STEPS, lease.state, LeaseEvent.EMPTY)

    def _make_room(self, now: Moment) -> bool:
        """Forget the slot longest known if it holds nothing and was not used lately."""
        slot, lease = next(iter(self._leases.items()))
        if not lease.units and lease.state not in _ASKING:
            del self._leases[slot]
            return True
        # Held units are owed to their org, so the slot stays, last in line to be asked.
        self._leases[slot] = self._leases.pop(slot)
        if lease.units and lease.good_until <= now.unix:
            self._expire(lease, now)
        return False


def _note_rate(lease: _Lease, amount: int, now: Moment) -> None:
    passed = now.monotonic - lease.noted_at
    lease.noted_at = now.monotonic
    fresh = amount / RATE_MEMORY_SECONDS
    lease.rate = lease.rate * math.exp(-passed / RATE_MEMORY_SECONDS) + fresh
