"""The lease book: units consumed ahead of their calls, drawn synchronously, never beyond the limit.

A lease is sized by how fast its org has lately been spending and by a small share of what remains,
so that many replicas can hold leases of one org without starving each other; when that share is
too small to be worth holding, calls go back to one consume each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from sidecar.admission.credits import Lot
from sidecar.admission.moment import Moment, Slot
from sidecar.admission.steps import step
from sidecar.model import Quota

CAPACITY: Final = 10_000
"""Slots that can hold a lease; the calls of any other are exact."""

SHARE: Final = 16
"""A lease takes at most one part in this many of what remains: eight replicas hold at most half."""

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


class LeaseState(Enum):
    """Where one slot's lease stands."""

    ABSENT = auto()
    REQUESTING = auto()  # no units; a consume for some is in flight
    HELD = auto()
    REFILLING = auto()  # units, and a consume for more in flight
    REFUSED = auto()  # no units, and none asked for until the hold-off ends


class LeaseEvent(Enum):
    """What can happen to a lease. EMPTY also stands for the end of the quota period."""

    ASK = auto()
    GRANT = auto()
    REFUSE = auto()
    FAIL = auto()
    EMPTY = auto()
    LAPSE = auto()


STEPS: Final = {
    (LeaseState.ABSENT, LeaseEvent.ASK): LeaseState.REQUESTING,
    (LeaseState.REQUESTING, LeaseEvent.GRANT): LeaseState.HELD,
    (LeaseState.REQUESTING, LeaseEvent.REFUSE): LeaseState.REFUSED,
    (LeaseState.REQUESTING, LeaseEvent.FAIL): LeaseState.REFUSED,
    (LeaseState.HELD, LeaseEvent.ASK): LeaseState.REFILLING,
    (LeaseState.HELD, LeaseEvent.EMPTY): LeaseState.ABSENT,
    (LeaseState.REFILLING, LeaseEvent.GRANT): LeaseState.HELD,
    (LeaseState.REFILLING, LeaseEvent.REFUSE): LeaseState.HELD,
    (LeaseState.REFILLING, LeaseEvent.FAIL): LeaseState.HELD,
    (LeaseState.REFILLING, LeaseEvent.EMPTY): LeaseState.REQUESTING,
    (LeaseState.REFUSED, LeaseEvent.LAPSE): LeaseState.ABSENT,
}

_ASKING: Final = frozenset({LeaseState.REQUESTING, LeaseState.REFILLING})
_ASKABLE: Final = frozenset({LeaseState.ABSENT, LeaseState.HELD})


@dataclass(frozen=True, slots=True)
class LeaseFigures:
    """Units of all leases: in hand, and asked for."""

    held: int
    requested: int


class _Lease:
    __slots__ = ("asked", "hold_until", "noted_at", "quota", "rate", "state", "units")

    def __init__(self, now: float) -> None:
        self.state = LeaseState.ABSENT
        self.units = 0
        self.asked = 0
        self.quota: Quota | None = None
        self.rate = 0.0  # units per second, lately
        self.noted_at = now
        self.hold_until = 0.0


class LeaseBook:
    """Leases by org and resource. Changes only synchronously."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Hold leases of at most `capacity` slots."""
        self._capacity = capacity
        self._leases: dict[Slot, _Lease] = {}

    def __len__(self) -> int:
        """Count the slots known."""
        return len(self._leases)

    def draw(self, slot: Slot, amount: int, now: Moment) -> Quota | None:
        """Take `amount` units of the lease; None when it has too few.

        Returns the quota as the caller may be told it: what the platform said remains, and what
        this lease still holds.
        """
        lease = self._leases.get(slot)
        if lease is None or lease.quota is None or lease.units < amount:
            return None
        if lease.quota.reset_at <= now.unix:
            self._empty(lease)
            return None
        lease.units -= amount
        held, quota = lease.units, lease.quota
        if not held:
            self._empty(lease)
        if quota.unlimited:
            return quota
        return replace(quota, used=quota.used - held, remaining=quota.remaining + held)

    def ask(self, slot: Slot, amount: int, last: Quota | None, now: Moment) -> int:
        """Note a call of `amount` units; return how many to consume ahead now, 0 for none.

        `last` is the platform's last answer, without which nothing is asked ahead. When units are
        to be asked for, the lease waits for exactly one of `grant`, `refuse` and `fail`.
        """
        lease = self._leases.get(slot)
        if lease is None:
            if len(self._leases) >= self._capacity and not self._make_room(now):
                return 0
            lease = self._leases[slot] = _Lease(now.monotonic)
        passed = now.monotonic - lease.noted_at
        lease.noted_at = now.monotonic
        fresh = amount / RATE_MEMORY_SECONDS
        lease.rate = lease.rate * math.exp(-passed / RATE_MEMORY_SECONDS) + fresh
        if lease.state is LeaseState.REFUSED and now.monotonic >= lease.hold_until:
            lease.state = step(STEPS, lease.state, LeaseEvent.LAPSE)
        wanted = max(math.ceil(lease.rate * HORIZON_SECONDS), SMALLEST_CALLS * amount)
        if (
            last is None
            or lease.state not in _ASKABLE
            or now.monotonic < lease.hold_until
            or lease.units >= wanted * LOW_WATER + amount
        ):
            return 0
        if not last.unlimited:
            left = last.limit if last.reset_at <= now.unix else last.remaining
            wanted = min(wanted, left // SHARE)
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
        if lease.quota is not None and lease.quota.reset_at <= now.unix and lease.units:
            self._empty(lease)
        lease.state = step(STEPS, lease.state, LeaseEvent.GRANT)
        if lease.units and lease.quota is not None:
            # Units of two periods end with the earlier one: none outlives what paid for it.
            quota = replace(quota, reset_at=min(quota.reset_at, lease.quota.reset_at))
        lease.units += lease.asked
        lease.asked = 0
        lease.quota = quota

    def refuse(self, slot: Slot, now: Moment) -> None:
        """Too little remains for a lease: exact for a while."""
        self._ended(slot, LeaseEvent.REFUSE, now)

    def fail(self, slot: Slot, now: Moment) -> None:
        """No answer to trust came."""
        self._ended(slot, LeaseEvent.FAIL, now)

    def figures(self) -> LeaseFigures:
        """Count the units."""
        held = sum(lease.units for lease in self._leases.values())
        return LeaseFigures(held, sum(lease.asked for lease in self._leases.values()))

    def surrender(self, now: float) -> list[Lot]:
        """Give up every unit in hand, as credits (Unix seconds): the process is ending."""
        lots = []
        for (org_id, resource), lease in self._leases.items():
            if lease.units and lease.quota is not None:
                if lease.quota.reset_at > now:
                    lots.append(Lot(org_id, resource, lease.units, lease.quota.reset_at))
                self._empty(lease)
        return lots

    def _ended(self, slot: Slot, event: LeaseEvent, now: Moment) -> None:
        lease = self._leases[slot]
        lease.state = step(STEPS, lease.state, event)
        lease.asked = 0
        lease.hold_until = now.monotonic + HOLD_OFF_SECONDS

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
        if lease.quota is not None and lease.quota.reset_at <= now.unix and lease.units:
            self._empty(lease)
        return False
