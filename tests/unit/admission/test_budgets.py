"""What passes while the platform does not answer: never an org that is known to have no quota."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.admission.journal_entries import Purpose
from sidecar.admission.ledger import DENIAL_SECONDS, DISGUISE_SECONDS
from sidecar.admission.moment import Moment
from sidecar.domain.choices import OnOverQuota, OnPlatformError
from sidecar.domain.model import AttemptEnd, Decision, Reason, RequestIdOrigin
from sidecar.domain.quota import FailureKind
from sidecar.domain.share import Share
from sidecar.policy.amounts import ConstantAmount
from sidecar.policy.compiled import FailOpenBudget
from tests.fakes.quotas import AnswerLosingQuotas, DisguisedQuotas, QuotaStore, UnreachableQuotas
from tests.unit.admission.scene import NOW, ORG, RESOURCE, Scene, identity, quota

MODES = pytest.mark.parametrize("mode", OnPlatformError)


async def decided(scene: Scene, calls: int) -> list[Decision]:
    """Decide on so many calls, one after the other; those allowed are executed."""
    decisions = []
    for _ in range(calls):
        decision = await scene.decide()
        if decision.permit is not None:
            scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)
        decisions.append(decision)
    return decisions


def allowed(decisions: list[Decision]) -> int:
    """Count the calls that passed."""
    return sum(decision.permit is not None for decision in decisions)


@MODES
@pytest.mark.parametrize(
    "outage",
    [
        UnreachableQuotas(FailureKind.CONNECT),
        UnreachableQuotas(FailureKind.BREAKER_OPEN),
        AnswerLosingQuotas(QuotaStore()),
        DisguisedQuotas(QuotaStore()),
    ],
    ids=["connect", "breaker open", "timeout", "disguised"],
)
async def test_an_org_that_was_refused_stays_refused_in_an_outage(
    mode: OnPlatformError, outage: UnreachableQuotas
) -> None:
    """Of any kind and length: 57 to 65 calls were free for an org with a limit of 3."""
    scene = Scene(limit=3, on_platform_error=mode)
    assert allowed(await decided(scene, 4)) == 3
    scene.platform.now = outage
    lasting = [] if isinstance(outage, DisguisedQuotas) else [900.0, 8 * 3600.0]
    for seconds in (0.0, 6.0, 60.0, DISGUISE_SECONDS - 67.0, *lasting):  # then -1 is believed
        scene.clock.advance(seconds)
        (decision,) = await decided(scene, 1)
        assert (decision.reason, decision.status) == (Reason.OVER_QUOTA, 429)
        assert decision.retry_after is not None


@MODES
async def test_an_org_that_has_just_used_its_last_unit_is_over_quota(mode: OnPlatformError) -> None:
    """It was never refused, but the last answer leaves nothing."""
    scene = Scene(limit=3, on_platform_error=mode)
    assert allowed(await decided(scene, 3)) == 3
    scene.platform.now = UnreachableQuotas()
    assert [each.reason for each in await decided(scene, 2)] == [Reason.OVER_QUOTA] * 2


async def test_a_call_that_costs_more_than_is_left_is_over_quota() -> None:
    """One that costs less may fail open."""
    scene = Scene(limit=10, amount=ConstantAmount(4))
    await decided(scene, 2)
    scene.platform.now = UnreachableQuotas()
    (decision,) = await decided(scene, 1)
    assert decision.reason is Reason.OVER_QUOTA
    cheap = Scene(limit=10, amount=ConstantAmount(2))
    await decided(cheap, 4)
    cheap.platform.now = UnreachableQuotas()
    (decision,) = await decided(cheap, 1)
    assert decision.reason is Reason.FAIL_OPEN


@MODES
async def test_a_token_that_says_there_is_nothing_left_is_enough(mode: OnPlatformError) -> None:
    """In a process that has heard no answer: its snapshot is the last word."""
    scene = Scene(on_platform_error=mode)
    scene.identities.who = identity(snapshot=quota(0))
    scene.platform.now = UnreachableQuotas()
    (decision,) = await decided(scene, 1)
    assert decision.reason is Reason.OVER_QUOTA


async def test_a_newer_token_with_quota_opens_the_org_again() -> None:
    """Its limit was raised after the refusal."""
    scene = Scene(limit=3)
    await decided(scene, 4)
    scene.platform.now = UnreachableQuotas()
    scene.clock.advance(60)
    scene.identities.who = identity(snapshot=quota(22), issued_at=NOW + 30)
    (decision,) = await decided(scene, 1)
    assert decision.reason is Reason.FAIL_OPEN


async def test_the_end_of_the_period_opens_the_org_again() -> None:
    """Last month's refusal says nothing of this month."""
    scene = Scene(limit=3)
    scene.store.reset_at = NOW + 100
    await decided(scene, 4)
    scene.platform.now = UnreachableQuotas()
    scene.clock.advance(101)
    (decision,) = await decided(scene, 1)
    assert decision.reason is Reason.FAIL_OPEN


async def test_over_quota_by_policy_passes_and_is_reported() -> None:
    """`on_over_quota: allow` is what its author wants, in an outage too."""
    scene = Scene(limit=0, on_over_quota=OnOverQuota.ALLOW)
    await decided(scene, 1)
    scene.platform.now = UnreachableQuotas()
    scene.clock.advance(DENIAL_SECONDS)
    (decision,) = await decided(scene, 1)
    assert decision.reason is Reason.OVER_QUOTA_ALLOWED
    assert scene.books.journal.units == 1


async def test_a_restart_renews_no_budget() -> None:
    """Budget 20, five restarts: 100 executed. The journal holds what has passed."""
    executed = 0
    entries: list[Any] = []
    for start in range(6):
        scene = Scene(nonce=bytes([start]) * 32, fail_open_budget=FailOpenBudget(20, 900.0))
        scene.clock.advance(10.0 * start)
        scene.platform.now = UnreachableQuotas()
        scene.books.restore(entries, [], Moment.of(scene.clock))
        executed += allowed(await decided(scene, 25))
        entries = scene.books.journal.entries()
    assert executed == 20


async def test_a_restart_renews_no_time_of_a_budget() -> None:
    """The outage began with the first entry of it."""
    before = Scene(fail_open_budget=FailOpenBudget(20, 900.0))
    before.platform.now = UnreachableQuotas()
    await decided(before, 1)
    after = Scene(nonce=b"2" * 32, fail_open_budget=FailOpenBudget(20, 900.0))
    after.clock.advance(901.0)
    after.platform.now = UnreachableQuotas()
    after.books.restore(before.books.journal.entries(), [], Moment.of(after.clock))
    (decision,) = await decided(after, 1)
    assert decision.reason is Reason.FAIL_OPEN_SPENT


@pytest.mark.parametrize(("budget", "workers"), [(3, 2), (20, 3), (1, 4), (0, 2), (1000, 7)])
async def test_workers_share_one_budget(budget: int, workers: int) -> None:
    """Budget 3, two workers: 6 passed."""
    executed = 0
    for index in range(workers):
        scene = Scene(
            share=Share(index, workers),
            fail_open_budget=FailOpenBudget(budget, 900.0),
            nonce=bytes([index]) * 32,
        )
        scene.platform.now = UnreachableQuotas()
        executed += allowed(await decided(scene, budget + 2))
    assert executed == budget


async def test_what_is_known_is_known_of_one_org_and_resource() -> None:
    """Another org may have quota, and fails open."""
    scene = Scene(limit=0)
    await decided(scene, 1)
    scene.platform.now = UnreachableQuotas()
    scene.identities.who = identity(org="other")
    (decision,) = await decided(scene, 1)
    assert decision.reason is Reason.FAIL_OPEN
    assert scene.books.outages.spent((ORG, RESOURCE), 0.0).units == 0


async def test_a_charge_that_may_have_been_counted_is_settled_though_it_is_over_quota() -> None:
    """Refused by what was known, and perhaps counted all the same: the unit comes back."""
    scene = Scene(limit=3)
    await decided(scene, 3)
    scene.clock.advance(1)
    scene.store.default = 10  # raised meanwhile, and nobody said so
    scene.platform.now = AnswerLosingQuotas(scene.store)
    decision = await scene.decide(request_id="id", origin=RequestIdOrigin.CLIENT)
    assert decision.reason is Reason.OVER_QUOTA
    assert [entry.purpose for entry in scene.books.journal.entries()] == [Purpose.RECLAIM]
