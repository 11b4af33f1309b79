"""Whether a call's worst case fits beside those of the calls at every replica."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sidecar.admission.holds import Held
from sidecar.domain.holds import Shared
from sidecar.domain.model import Decision, Reason
from tests.fakes.admission import KnownBody, policy_of_pages
from tests.fakes.holds import HoldsInMemory, MemoryHolds
from tests.fakes.quotas import HeldQuotas, UnreachableQuotas
from tests.unit.admission.scene import Scene, route
from tests.unit.admission.test_deposits import HELD, SLOT, Announced
from tests.unit.admission.usage_rules import rule


class Two:
    """Two replicas before one platform, with clocks that are turned together."""

    def __init__(self, limit: int = 100) -> None:
        self.one = Scene(limit=limit)
        self.store = HoldsInMemory(now=self.one.clock.time)
        self.holds = [MemoryHolds(self.store, name) for name in ("one", "other")]
        self.one, self.other = (
            Scene(
                store=self.one.store, clock=self.one.clock, nonce=bytes([n]) * 32,
                estimates=Announced(), usage=HELD, shared_holds=holds,
            )
            for n, holds in enumerate(self.holds)
        )  # fmt: skip

    async def rest(self) -> None:
        """Wait until each has seen what the other holds."""
        for holds in self.holds:
            await holds.rest()


async def decide(it: Scene, most: int) -> Decision:
    """Decide on a call that announces so much."""
    return await it.decide(body=KnownBody(str(most).encode()))


async def test_what_another_replica_holds_is_not_free() -> None:
    """Nothing is consumed for a call that does not fit; it may try again in a second."""
    two = Two()
    assert (await decide(two.one, 60)).reason is Reason.WITHIN_QUOTA
    await two.rest()
    refused = await decide(two.other, 60)
    assert (refused.reason, refused.retry_after) == (Reason.OVER_QUOTA, 1.0)
    assert refused.passing
    assert two.one.store.used[SLOT] == 1
    assert (await decide(two.other, 40)).reason is Reason.WITHIN_QUOTA
    assert len(two.other.settlements.holds) == 1


async def test_a_call_that_is_not_settled_leaves_what_another_replica_holds() -> None:
    """Also where this replica holds nothing: 40 are free of 100."""
    two = Two()
    await decide(two.one, 60)
    await two.rest()
    assert (await decide(two.other, 60)).permit is None
    assert len(two.other.settlements.holds) == 0
    plain = route("p", replace(two.other.meter, usage=None))
    two.other.policies.current = policy_of_pages({"/p": plain})
    reasons = [(await two.other.decide("/p")).reason for _ in range(41)]
    assert reasons == [Reason.WITHIN_QUOTA] * 40 + [Reason.OVER_QUOTA]


async def test_of_two_first_calls_at_once_only_what_fits_is_admitted() -> None:
    """Nothing was known of the org: the answers to the deposits decide, one replica at a time."""
    two = Two()
    decisions = await asyncio.gather(decide(two.one, 60), decide(two.other, 60))
    assert sorted(each.permit is None for each in decisions) == [False, True]
    unused = [it.books.credits.units_of(SLOT, it.clock.time()) for it in (two.one, two.other)]
    assert sorted(unused) == [0, 1]


async def test_an_old_answer_lets_no_credit_pay_unasked() -> None:
    """A deposit that was given back would admit a call that no answer speaks for."""
    two = Two()
    await asyncio.gather(decide(two.one, 60), decide(two.other, 60))
    for _ in range(3):
        two.one.clock.advance(6.0)
        decisions = [await decide(it, 60) for it in (two.one, two.other)]
        assert [each.reason for each in decisions] == [Reason.OVER_QUOTA] * 2


async def test_without_an_answer_what_others_held_last_counts() -> None:
    """The replicas' store is away."""
    two = Two()
    await decide(two.one, 60)
    await two.rest()
    await decide(two.other, 5)
    two.store.away = True
    assert (await decide(two.other, 60)).reason is Reason.OVER_QUOTA
    assert (await decide(two.other, 20)).reason is Reason.WITHIN_QUOTA
    two.holds[1]._others.clear()  # as after ten seconds
    assert (await decide(two.other, 60)).reason is Reason.WITHIN_QUOTA


async def test_in_an_outage_of_the_platform_what_others_hold_is_not_free() -> None:
    """Nor what this process holds."""
    two = Two()
    await decide(two.one, 60)
    await two.rest()
    await decide(two.other, 5)
    two.one.clock.advance(10.0)
    two.other.platform.now = UnreachableQuotas()
    assert (await decide(two.other, 50)).reason is Reason.OVER_QUOTA
    assert (await decide(two.other, 9)).reason is Reason.FAIL_OPEN


async def test_an_unlimited_org_asks_no_replica() -> None:
    """Once that is known."""
    two = Two(limit=-1)
    assert (await decide(two.one, 60)).reason is Reason.UNLIMITED
    before = len(two.holds[0].taken)
    assert (await decide(two.one, 60)).reason is Reason.UNLIMITED
    assert len(two.holds[0].taken) == before
    assert two.one.settlements.holds.held(SLOT).units == 0


async def test_a_call_that_no_hold_refuses_asks_no_replica() -> None:
    """Its route has none."""
    store = HoldsInMemory()
    holds = MemoryHolds(store, "one")
    it = Scene(estimates=Announced(), usage=rule(), shared_holds=holds)
    assert (await decide(it, 60)).reason is Reason.WITHIN_QUOTA
    assert holds.taken == []


class Stopped(MemoryHolds):
    """Never answers the take of this number."""

    stop_at = 1

    async def take(
        self, slot: tuple[str, str], call: str, *, deposit: int, hold: int
    ) -> Shared | None:
        answer = await super().take(slot, call, deposit=deposit, hold=hold)
        if len(self.taken) == self.stop_at:
            await asyncio.Event().wait()
        return answer


@pytest.mark.parametrize("stop_at", [1, 2])
async def test_a_call_that_is_cancelled_on_the_way_holds_nothing(stop_at: int) -> None:
    """Before its deposit, and after it: that is a credit then."""
    holds = Stopped(HoldsInMemory(), "one")
    holds.stop_at = stop_at
    it = Scene(estimates=Announced(), usage=HELD, shared_holds=holds)
    task = asyncio.ensure_future(decide(it, 9))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(holds.taken) == stop_at
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(it.settlements.holds) == 0
    assert it.store.used[SLOT] == it.books.credits.units(it.clock.time()) == stop_at - 1


async def test_a_call_that_is_decided_counts_for_others_before_its_answer() -> None:
    """Its hold and its deposit, where all replicas have found room for it."""
    two = Two()
    await decide(two.one, 10)
    await two.rest()
    two.other.platform.now = platform = HeldQuotas(two.other.store)
    task = asyncio.ensure_future(decide(two.other, 60))
    for _ in range(20):
        await asyncio.sleep(0)
    assert platform.asked
    assert two.store.slots[SLOT].held == {"one": 9, "other": 60}
    assert two.other.settlements.holds.held(SLOT) == Held(60, 0)
    assert (await decide(two.one, 40)).reason is Reason.OVER_QUOTA
    platform.release.set()
    assert (await task).reason is Reason.WITHIN_QUOTA
    await two.rest()
    assert two.store.slots[SLOT].held == {"one": 9, "other": 59}
