"""A store of holds in memory: the script's step in Python, and replicas that share by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.domain.holds import HoldRoom, Shared, Standing
from sidecar.domain.ports import HoldSource
from sidecar.domain.quota import Quota

Slot = tuple[str, str]


@dataclass
class HeldSlot:
    """What a Redis has of one slot: the units of each replica, and the latest answer."""

    held: dict[str, int] = field(default_factory=dict)
    answer: Quota | None = None
    at: float = 0.0

    def run(
        self,
        replica: str,
        standing: Standing,
        takes: list[tuple[int, int]],
        now: float,
        fresh: float = 5.0,
    ) -> tuple[int, Quota | None, list[HoldRoom]]:
        """Do what the script does, at `now`."""
        own = standing.held
        others = sum(units for name, units in self.held.items() if name != replica)
        self._learn(standing, now, fresh)
        latest = self.answer
        known = latest is not None and self.at + fresh > now and latest.reset_at > now
        rooms = []
        for deposit, hold in takes:
            room = HoldRoom.UNKNOWN
            if known and latest is not None:
                fits = deposit + hold <= latest.remaining + standing.paid - others - own
                alone = hold == 0 and others + own == 0
                room = HoldRoom.FREE if latest.unlimited or fits or alone else HoldRoom.SHORT
            own += {HoldRoom.FREE: deposit + hold, HoldRoom.UNKNOWN: deposit, HoldRoom.SHORT: 0}[
                room
            ]
            rooms.append(room)
        self.held[replica] = own
        return others, latest, rooms

    def _learn(self, standing: Standing, now: float, fresh: float) -> None:
        mine, at = standing.answered, now - standing.age
        if mine is None:
            return
        latest = self.answer
        if latest is not None and self.at + fresh > now:
            same = (latest.limit, latest.reset_at) == (mine.limit, mine.reset_at)
            if same and mine.used < latest.used:
                return
            if not (same and mine.used > latest.used) and at < self.at:
                return
        self.answer, self.at = mine, at


class HoldsInMemory:
    """What all replicas share; a reply takes twice `wait` turns of the loop, `now` is its clock."""

    def __init__(
        self, wait: Callable[[], int] = lambda: 1, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.slots: dict[Slot, HeldSlot] = {}
        self.wait = wait
        self.now = now
        self.away = False


class MemoryHolds:
    """`SharedHolds` of one replica over `HoldsInMemory`: one batch on its way at a time."""

    def __init__(self, store: HoldsInMemory, name: str) -> None:
        self._store = store
        self._name = name
        self._source: HoldSource | None = None
        self._others: dict[Slot, int] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self.problem = ""
        self.taken: list[tuple[int, int]] = []

    def begin(self, source: HoldSource) -> None:
        """Share what it holds."""
        self._source = source

    def changed(self, slot: Slot) -> None:
        """Show it in a moment."""
        task: asyncio.Task[object] = asyncio.ensure_future(self._run(slot, "", []))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def others(self, slot: Slot) -> int:
        """Return what was seen last."""
        return self._others.get(slot, 0)

    async def take(self, slot: Slot, call: str, *, deposit: int, hold: int) -> Shared | None:
        """Run the step, some turns of the loop later."""
        self.taken.append((deposit, hold))
        return await self._run(slot, call, [(deposit, hold)])

    @property
    def busy(self) -> bool:
        """Say whether a step is on its way."""
        return self._lock.locked()

    async def rest(self) -> None:
        """Wait until all is shown."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def _run(self, slot: Slot, call: str, takes: list[tuple[int, int]]) -> Shared | None:
        assert self._source is not None
        async with self._lock:
            if self._store.away:
                return None
            standing = self._source.standing(slot)
            await self._turns()
            held = self._store.slots.setdefault(slot, HeldSlot())
            others, answer, rooms = held.run(self._name, standing, takes, self._store.now())
            await self._turns()
            self._others[slot] = others
            for (deposit, hold), room in zip(takes, rooms, strict=True):
                units = {
                    HoldRoom.FREE: deposit + hold,
                    HoldRoom.UNKNOWN: deposit,
                    HoldRoom.SHORT: 0,
                }[room]
                self._source.asked(call, units)
                return Shared(room, answer)
        return None

    async def _turns(self) -> None:
        for _ in range(self._store.wait()):
            await asyncio.sleep(0)
