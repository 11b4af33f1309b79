"""Leases through the engine: fewer consumes, never more executions than were granted."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from sidecar.admission.journal_entries import Purpose
from sidecar.admission.moment import Moment
from sidecar.domain.choices import Accuracy, OnPlatformError
from sidecar.domain.model import AttemptEnd, Reason
from sidecar.domain.quota import FailureKind
from tests.fakes.quotas import AnswerLosingQuotas, HeldQuotas, UnreachableQuotas
from tests.unit.admission.scene import ORG, RESOURCE, Scene


def _scene(limit: int = 100_000, **meter: Any) -> Scene:
    return Scene(limit=limit, leases=True, accuracy=Accuracy.LEASE, **meter)


async def test_leased_calls_cost_fewer_consumes_than_calls() -> None:
    """What a lease is for."""
    scene = _scene()
    for _ in range(500):
        decision = await scene.decide()
        assert decision.permit is not None
        scene.clock.advance(0.001)
    assert len(scene.honest.asked) < 100
    await scene.lessor.close()


async def test_those_who_come_at_once_wait_for_one_fill() -> None:
    """Single flight: a hundred calls at once are two consumes, not a hundred."""
    scene = _scene()
    await scene.decide()
    for _ in range(200):
        scene.books.leases.ask((ORG, RESOURCE), 1, None, Moment.of(scene.clock))
    decisions = await asyncio.gather(*(scene.decide() for _ in range(50)))
    assert {decision.reason for decision in decisions} == {Reason.LEASED}
    assert len(scene.honest.asked) == 2
    await scene.lessor.close()


async def test_a_waiter_that_is_cancelled_leaves_the_fill_to_the_others() -> None:
    """The lease belongs to the org, not to who asked first."""
    scene = _scene()
    await scene.decide()
    held = HeldQuotas(scene.store)
    scene.platform.now = held
    first = asyncio.create_task(scene.decide(request_id="first"))
    other = asyncio.create_task(scene.decide())
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    held.release.set()
    assert (await other).reason is Reason.LEASED
    assert scene.books.replays.in_flight == 0


async def test_a_failed_fill_is_the_platform_failing() -> None:
    """No second wait: the policy decides, and the charge of the call was never sent."""
    scene = _scene(on_platform_error=OnPlatformError.FAIL_OPEN)
    await scene.decide()
    scene.platform.now = UnreachableQuotas(FailureKind.TIMEOUT)
    decision = await scene.decide()
    assert decision.reason is Reason.FAIL_OPEN
    assert decision.charge is not None
    entries = {entry.charge.key: entry for entry in scene.books.journal.entries()}
    assert entries[decision.charge.key].sent_at is None


async def test_a_fill_that_was_counted_and_its_answer_lost_is_settled() -> None:
    """All its units come back as credits."""
    scene = _scene()
    await scene.decide()
    scene.platform.now = AnswerLosingQuotas(scene.store)
    await scene.decide()
    await scene.lessor.close()
    counted = scene.store.used[ORG, RESOURCE] - 1
    settling = [e for e in scene.books.journal.entries() if e.purpose is Purpose.RECLAIM]
    assert [entry.charge.amount for entry in settling] == [counted]


async def test_a_fill_that_does_not_come_in_time_is_a_timeout_of_the_policy() -> None:
    """The product is not kept waiting longer than for a consume of its own."""
    scene = _scene(platform_timeout=0.02)
    await scene.decide()
    held = HeldQuotas(scene.store)
    scene.platform.now = held
    waiting = asyncio.create_task(scene.decide())
    await asyncio.sleep(0)
    scene.clock.advance(0.03)
    decision = await waiting
    assert decision.reason is Reason.FAIL_OPEN
    held.release.set()
    await scene.lessor.close()


async def test_near_the_limit_calls_are_exact_and_the_last_unit_is_used() -> None:
    """A lease never keeps a unit from the only replica there is."""
    scene = _scene(limit=200)
    executed = 0
    for _ in range(300):
        decision = await scene.decide()
        executed += decision.permit is not None
        scene.clock.advance(0.01)
    assert executed == 200
    await scene.lessor.close()


async def test_eight_replicas_never_execute_more_than_the_limit() -> None:
    """Conformance 38, in lease mode."""
    # No machine stands still for so long: a fill that is late is a call that fails open.
    scenes = [
        _scene(limit=1000, nonce=bytes([each]) * 32, platform_timeout=60.0) for each in range(8)
    ]
    for scene in scenes:
        scene.honest.store = scenes[0].store

    async def spend(scene: Scene) -> int:
        executed = 0
        for _ in range(625):
            executed += (await scene.decide()).permit is not None
            scene.clock.advance(0.002)
        return executed

    executed = sum(await asyncio.gather(*(spend(scene) for scene in scenes)))
    held = sum(scene.books.leases.held for scene in scenes)
    assert executed + held == scenes[0].store.used[ORG, RESOURCE] <= 1000
    assert executed > 900


async def test_a_leased_call_that_did_not_happen_becomes_a_credit() -> None:
    """Refunds do not care how a unit was paid."""
    scene = _scene()
    await scene.decide()
    leased = await scene.decide()
    assert leased.reason is Reason.LEASED
    assert leased.permit is not None
    scene.engine.attempt_ended(leased.permit, AttemptEnd.UNREACHED)
    assert (await scene.decide()).reason is Reason.CREDITED
    await scene.lessor.close()


async def test_a_fill_cut_off_at_the_end_becomes_a_credit_when_it_was_granted() -> None:
    """Closing does not wait for ever, and units counted meanwhile are still owed."""
    scene = _scene()
    await scene.decide()
    held = HeldQuotas(scene.store)
    scene.platform.now = held
    waiting = asyncio.create_task(scene.decide())
    await asyncio.sleep(0.01)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(scene.lessor.close(), 0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    held.release.set()
    await asyncio.sleep(0.01)
    in_hand = scene.books.credits.units(scene.clock.time())
    assert in_hand + 1 == scene.store.used[ORG, RESOURCE] > 1
    assert not scene.books.leases.asking((ORG, RESOURCE))


async def test_without_a_fill_in_flight_nobody_waits() -> None:
    """It may have ended between the asking and the waiting."""
    assert await _scene().lessor.filled((ORG, RESOURCE), 5.0) == (None, 5.0)
