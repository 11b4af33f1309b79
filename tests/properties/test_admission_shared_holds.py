"""Holds of several replicas under any order of what happens: together they never overshoot."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Generator

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.model import AttemptEnd, Headers
from sidecar.domain.usage import Estimate, HoldRule, UsageRule
from tests.fakes.admission import KnownBody
from tests.fakes.clock import TurnedClock
from tests.fakes.holds import HoldsInMemory, MemoryHolds
from tests.fakes.quotas import QuotaStore
from tests.unit.admission.scene import NOW, ORG, RESOURCE, Scene
from tests.unit.admission.usage_rules import rule, used

SLOT = (ORG, RESOURCE)
HELD = rule(hold=HoldRule((("max_tokens",),), 10, 1000))


class Announced:
    """Estimates of what the bodies say: the most tokens of output, in digits."""

    def short(self, rule: UsageRule, body: bytes) -> Estimate | None:
        """Leave every body to `reading`."""

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        yield
        return Estimate(0, int(body), None)


def held(it: Scene) -> int:
    """Count the holds of a replica."""
    return len(it.settlements.holds)


@settings(max_examples=200, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 40), st.integers(1, 40), st.integers(0, 60)),
        min_size=1,
        max_size=40,
    ),
    limit=st.integers(1, 120),
    seed=st.integers(0, 2**32),
)
def test_replicas_together_never_admit_more_than_the_quota_covers(
    calls: list[tuple[int, int, int, int]], limit: int, seed: int
) -> None:
    """Each call costs at most what it announced; what ran cost no more than the limit."""
    chance = random.Random(seed)  # noqa: S311 - an order of events, no secret

    async def run() -> None:
        clock = TurnedClock(NOW)
        shared = HoldsInMemory(lambda: chance.randrange(6), clock.time)
        store = QuotaStore(default=limit)
        holds = [MemoryHolds(shared, f"replica {n}") for n in range(3)]
        scenes = [
            Scene(
                nonce=bytes([n]) * 32, store=store, estimates=Announced(), usage=HELD,
                shared_holds=each, clock=clock,
            )
            for n, each in enumerate(holds)
        ]  # fmt: skip
        spent = 0

        async def call(at: int, most: int, cost: int, begin: int) -> None:
            nonlocal spent
            for _ in range(begin):
                await asyncio.sleep(0)
            it = scenes[at]
            # No step takes seconds; and the deposit of a call that asks about an old answer may be
            # what another holds (docs/admission.md).
            if not any(each.busy for each in holds) and not any(map(held, scenes)):
                clock.advance(chance.choice((0.0, 0.0, 0.0, 2.0, 6.0)))
            decision = await it.decide(body=KnownBody(str(most).encode()))
            if decision.permit is None:
                return
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)
            spent += min(cost, most)
            it.engine.attempt_ended(decision.permit, AttemptEnd.DONE, used(output=min(cost, most)))

        await asyncio.gather(*(call(*each) for each in calls))
        for it in scenes:
            await it.settler.close()
        for each in holds:
            await each.rest()
        assert spent <= limit
        assert not any(map(held, scenes))
        assert sum(shared.slots[SLOT].held.values()) == 0

    asyncio.run(run())
