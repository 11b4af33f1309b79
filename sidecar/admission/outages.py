"""The outage book: what was admitted without a valid answer, per org and resource.

An outage starts with the first unit let through and ends with the next trusted answer. Its units
are what `fail_open_budget` bounds and what `last_known` takes off what it knew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sidecar.domain.model import Slot

CAPACITY: Final = 10_000
"""Outages open at once. When full, no other slot can fail open: forgetting one would renew a
budget, and nothing forgotten may mean "allow"."""

STALE_SECONDS: Final = 24 * 3600.0
"""An outage older than this gives its place up to a new one."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an outage has let through, and its age in seconds. `room` is False when none fits."""

    units: int
    seconds: float
    room: bool


class OutageBook:
    """Outages by org and resource. Changes only synchronously; times are monotonic seconds."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.started: dict[Slot, float] = {}  # in order of starting
        self._units: dict[Slot, int] = {}

    def __len__(self) -> int:
        return len(self.started)

    def spent(self, slot: Slot, now: float) -> Spent:
        """Say what the slot's outage has let through; zeros when it has none."""
        started = self.started.get(slot)
        if started is None:
            return Spent(0, 0.0, room=self._has_room(now))
        return Spent(self._units[slot], now - started, room=True)

    def ongoing(self, now: float) -> Iterator[tuple[str, Spent]]:
        """Go through the outages that are open: the resource of each, and what it has spent."""
        for slot, started in self.started.items():
            yield slot[1], Spent(self._units[slot], now - started, room=True)

    def let_through(self, slot: Slot, units: int, now: float) -> bool:
        """Add units let through; return whether an outage started with them."""
        if slot in self.started:
            self._units[slot] += units
            return False
        if not self._has_room(now):
            return False  # only shadow comes here: the table lets nothing else through
        self.started[slot] = now
        self._units[slot] = units
        return True

    def end(self, slot: Slot) -> None:
        """Renew the slot's budget: a trusted answer came."""
        if self.started.pop(slot, None) is not None:
            del self._units[slot]

    def _has_room(self, now: float) -> bool:
        if len(self.started) < self._capacity:
            return True
        oldest = next(iter(self.started))
        if now - self.started[oldest] < STALE_SECONDS:
            return False
        self.end(oldest)
        return True
