"""Units are given back only under a key that no other process can have used."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sidecar.admission.moment import Moment
from sidecar.admission.reporter import Reporter
from sidecar.domain.choices import Accuracy, OnPlatformError, OnReplay
from sidecar.domain.model import AttemptEnd, Decision, Reason, RequestIdOrigin
from sidecar.domain.quota import FailureKind
from sidecar.policy.amounts import ConstantAmount
from tests.fakes.admission import KnownBody, policy_of_pages
from tests.fakes.quotas import AnswerLosingQuotas, HeldQuotas, HonestQuotas, QuotaStore
from tests.unit.admission.scene import ORG, RESOURCE, Scene, route

TRUSTED = RequestIdOrigin.TRUSTED
SLOT = (ORG, RESOURCE)


class SharedCount:
    """Redis, with numbers that no other replica has."""

    problem = ""

    def __init__(self) -> None:
        self.count = -1

    async def next(self, scope: bytes) -> int | None:
        self.count += 1
        return self.count


class LostCount:
    """A Redis that does not answer."""

    problem = "TimeoutError"

    async def next(self, scope: bytes) -> int | None:
        return None


def replica(store: QuotaStore, nonce: int, **settings: Any) -> Scene:
    """Make one process before the platform's one truth."""
    scene = Scene(nonce=bytes([nonce]) * 32, **settings)
    scene.honest = HonestQuotas(store)
    scene.platform.now = scene.honest
    return scene


async def executed(scene: Scene, request_id: str, origin: RequestIdOrigin = TRUSTED) -> Decision:
    """Decide on a call that its product executes, where it is allowed."""
    decision = await scene.decide(request_id=request_id, origin=origin)
    if decision.permit is not None:
        scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)
    return decision


async def test_a_retry_at_another_replica_leaves_no_credit_at_the_first() -> None:
    """40 executed, 20 charged: each retry was free, and each credit paid another call."""
    store = QuotaStore()
    first, second = replica(store, 1), replica(store, 2)
    for n in range(20):
        decision = await first.decide(request_id=f"id-{n}", origin=TRUSTED)
        assert decision.permit is not None
        first.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
        await executed(second, f"id-{n}")
    for n in range(20):
        await executed(first, f"other-{n}")
    assert store.used[SLOT] == 40


async def test_an_answer_that_comes_after_its_call_was_refused_is_no_credit() -> None:
    """The proxy went on to another replica under the same key."""
    store = QuotaStore()
    first = replica(store, 1)
    held = HeldQuotas(store)
    first.platform.now = held
    call = asyncio.ensure_future(first.decide(request_id="id", origin=TRUSTED))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    held.release.set()
    await executed(replica(store, 2), "id")
    assert not first.books.credits.by_slot
    assert len(first.books.journal) == 0


async def test_a_timeout_under_a_shared_key_is_not_asked_about_again() -> None:
    """Asked again, the platform would count it now, and nothing could be given back for it."""
    store = QuotaStore()
    first = replica(store, 1, on_platform_error=OnPlatformError.FAIL_CLOSED)
    first.platform.now = AnswerLosingQuotas(store)
    assert (await executed(first, "id")).reason is Reason.FAIL_CLOSED
    assert len(first.books.journal) == 0


async def test_an_entry_of_before_a_restart_gives_nothing_back_under_a_shared_key() -> None:
    """The journal keeps whose key it is."""
    store = QuotaStore()
    before = replica(store, 1)
    before.platform.now = AnswerLosingQuotas(store)
    decision = await before.decide(request_id="id", origin=TRUSTED)
    assert decision.permit is not None
    before.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    after = replica(store, 2)
    after.books.restore(before.books.journal.entries(), [], Moment.of(after.clock))
    await Reporter(
        books=after.books,
        quotas=after.platform,
        clock=after.clock,
        observer=after.observer,
        settlements=after.settlements,
    ).report()
    assert not after.books.credits.by_slot


@pytest.mark.parametrize("origin", [RequestIdOrigin.GENERATED, RequestIdOrigin.CLIENT])
async def test_a_key_with_the_nonce_of_the_process_gives_its_units_back(
    origin: RequestIdOrigin,
) -> None:
    """No other process can derive it."""
    scene = Scene()
    request_id = None if origin is RequestIdOrigin.GENERATED else "id"
    decision = await scene.decide(request_id=request_id, origin=origin)
    assert decision.permit is not None
    scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert scene.books.credits.units(scene.clock.time()) == 1


async def test_a_number_of_redis_makes_a_trusted_key_private() -> None:
    """It was given to this process alone."""
    scene = Scene(attempts=SharedCount())
    decision = await scene.decide(request_id="id", origin=TRUSTED)
    assert decision.permit is not None
    scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert scene.books.credits.units(scene.clock.time()) == 1


async def test_a_number_that_redis_did_not_give_leaves_a_trusted_key_shared() -> None:
    """While it does not answer, and where a count that was lost comes again."""
    scene = Scene(attempts=LostCount())
    decision = await scene.decide(request_id="id", origin=TRUSTED)
    assert decision.charge is not None
    assert not decision.charge.private
    counting = Scene(attempts=SharedCount())
    assert isinstance(counting.engine._claims._attempts, SharedCount)
    await counting.decide(request_id="id", origin=TRUSTED)
    counting.engine._claims._attempts.count = -1  # Redis was emptied: it gives 0 again
    again = await counting.decide(request_id="id", origin=TRUSTED)
    assert again.charge is not None
    assert not again.charge.private


@pytest.mark.parametrize("accuracy", Accuracy)
async def test_one_trusted_id_with_another_amount_is_another_charge(accuracy: Accuracy) -> None:
    """n=1 here, n=1000 there: 20,020 units executed, 20 charged."""
    store = QuotaStore(default=100_000)
    first, second = (
        replica(store, n, accuracy=accuracy, amount=ConstantAmount(amount))
        for n, amount in ((1, 1), (2, 1000))
    )
    for n in range(20):
        await executed(first, f"id-{n}")
        await executed(second, f"id-{n}")
    assert store.used[SLOT] == 20_020


async def test_one_trusted_id_with_another_query_is_another_charge() -> None:
    """The product may do something else for it."""
    store = QuotaStore()
    first, second = replica(store, 1), replica(store, 2)
    await executed(first, "id")
    call = replace(first.call(request_id="id", origin=TRUSTED), query="model=big")
    await second.engine.decide(call, KnownBody())
    assert store.used[SLOT] == 2


async def test_two_workers_give_nothing_back_for_one_trusted_id() -> None:
    """They are two processes: the same as two replicas."""
    store = QuotaStore()
    workers = [replica(store, n) for n in (1, 2)]
    for scene in workers:
        decision = await scene.decide(request_id="id", origin=TRUSTED)
        assert decision.permit is not None
        scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert store.used[SLOT] == 1
    assert not any(scene.books.credits.by_slot for scene in workers)


async def test_reject_goes_by_the_id_alone() -> None:
    """Another amount or query under an ID that has succeeded is a replay all the same."""
    scene = Scene(replay=OnReplay.REJECT)
    await executed(scene, "id", RequestIdOrigin.CLIENT)
    dearer = replace(scene.meter, amount=ConstantAmount(2))
    scene.policies.current = policy_of_pages({"/chat": route("chat", dearer)})
    call = replace(scene.call(request_id="id", origin=RequestIdOrigin.CLIENT), query="a=b")
    assert (await scene.engine.decide(call, KnownBody())).reason is Reason.REPLAYED


async def test_a_failure_kind_that_is_known_owes_nothing_under_any_key() -> None:
    """A platform that was not reached has counted nothing."""
    scene = Scene(on_platform_error=OnPlatformError.FAIL_CLOSED)
    scene.platform.now = AnswerLosingQuotas(QuotaStore(), FailureKind.CONNECT)
    await scene.decide()
    assert len(scene.books.journal) == 0
