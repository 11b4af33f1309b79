"""Replicas that share holds over a real Redis, and how tests wait for them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from sidecar.domain.holds import Standing
from sidecar.domain.quota import Quota
from sidecar.storage import redis_holds
from sidecar.storage.redis_holds import RedisHolds
from tests.fakes.quotas import RESET_AT
from tests.unit.storage.counting import PATIENCE, counting, until

SLOT = ("org_acme", "ai_calls")
PERIOD_END = RESET_AT * 2  # Redis has a clock of its own, which no test turns


def answered(remaining: int, *, limit: int = 100) -> Quota:
    """Make an answer of the platform, in a period that runs."""
    used = 0 if limit < 0 else limit - remaining
    return Quota("ai_calls", limit, used, remaining, "month", PERIOD_END)


class Replica:
    """A `HoldSource` that a test sets by hand."""

    def __init__(self, holds: RedisHolds) -> None:
        self.holds = holds
        self.held: dict[tuple[str, str], int] = {}
        self.paid = 0
        self.answer: Quota | None = None
        self.age = 0.0
        self.told: dict[str, int] = {}
        holds.begin(self)

    def slots(self) -> list[tuple[str, str]]:
        """Go through what is held."""
        return list(self.held)

    def standing(self, slot: tuple[str, str]) -> Standing:
        """Say what was set."""
        return Standing(self.held.get(slot, 0), self.paid, self.answer, self.age)

    def asked(self, call: str, units: int) -> None:
        """Hold what was taken."""
        self.told[call] = units
        self.held[SLOT] = self.held.get(SLOT, 0) + units

    def hold(self, units: int, slot: tuple[str, str] = SLOT) -> None:
        """Hold so much from now on."""
        self.held[slot] = units
        if not units:
            del self.held[slot]
        self.holds.changed(slot)

    async def seen_by(self, other: Replica, units: int) -> None:
        """Wait until another replica, which looks at it again and again, sees so much."""

        async def read() -> int:
            other.holds.changed(SLOT)
            return other.holds.others(SLOT)

        await until(read, lambda found: found == units)


@contextlib.asynccontextmanager
async def sharing(
    url: str, name: int = 1, *, realm: str = "platform", timeout: float = PATIENCE
) -> AsyncIterator[Replica]:
    """Share holds over the Redis at `url` while the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_holds, "TIMEOUT_SECONDS", timeout)
        async with counting(url) as attempts:
            holds = RedisHolds(attempts, realm=realm, replica=bytes([name]) * 4)
            try:
                yield Replica(holds)
            finally:
                await holds.close()
