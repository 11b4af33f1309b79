"""Every book under a clock that is wrong at the end of a period (conformance 59)."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.admission.moment import UNSURE_SECONDS, Moment
from sidecar.domain.choices import Accuracy, OnPlatformError
from sidecar.domain.model import AttemptEnd, Charge, Loss, Reason
from sidecar.domain.quota import Refused
from tests.fakes.quotas import UnreachableQuotas
from tests.unit.admission.scene import NOW, ORG, RESOURCE, Scene, quota

SLOT = (ORG, RESOURCE)
MINUTE, DAY = 60.0, 86_400.0
SKEWS = [-40 * DAY, -10 * MINUTE, -2.0, 0.0, 2.0, 10 * MINUTE, 40 * DAY]
"""How far our clock is ahead of the platform's, in seconds; less than 0: behind."""


def near_the_end(skew: float, **settings: Any) -> Scene:
    """Make a process a second before the platform's period ends, by the platform's clock."""
    scene = Scene(**settings)
    scene.store.reset_at = NOW - skew + 1.0
    return scene


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_lease_burns_no_quota(skew: float) -> None:
    """664 executed, 25,000 charged: each fill was granted, thrown away, and asked for again."""
    scene = near_the_end(skew, limit=25_000, leases=True, accuracy=Accuracy.LEASE)
    executed = 0
    for _ in range(1000):
        decision = await scene.decide()
        executed += decision.permit is not None
        scene.clock.advance(0.01)
    await scene.lessor.close()
    scene.books.report_lost()
    lost = sum(units for units, _ in scene.observer.of("credits_lost"))
    held = scene.books.leases.held
    assert executed == 1000
    assert scene.store.used[SLOT] == executed + held + lost
    assert held + lost <= 2 * 250  # at most one lease of each period


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_refund_pays_the_next_call(skew: float) -> None:
    """10 charged, 0 executed, 0 credits: the credits had ended before they began."""
    scene = near_the_end(skew)
    for _ in range(10):
        decision = await scene.decide()
        assert decision.permit is not None
        scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert scene.store.used[SLOT] == 1
    assert scene.books.credits.units(scene.clock.time()) == 1


async def test_a_credit_whose_end_is_not_known_is_lost_aloud() -> None:
    """Ten minutes after it was counted; not in silence."""
    scene = near_the_end(40 * DAY)
    decision = await scene.decide()
    assert decision.permit is not None
    scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    scene.clock.advance(UNSURE_SECONDS)
    assert scene.books.credits.units(scene.clock.time()) == 0
    scene.books.report_lost()
    assert scene.observer.of("credits_lost") == [(1, Loss.EXPIRED)]


@pytest.mark.parametrize("skew", SKEWS)
async def test_a_denial_is_remembered(skew: float) -> None:
    """An org that is over its limit costs the platform one question, not one a call."""
    scene = near_the_end(skew, limit=0)
    for _ in range(20):
        assert (await scene.decide()).reason is Reason.OVER_QUOTA
    assert len(scene.honest.asked) == 1


@pytest.mark.parametrize("skew", [-40 * DAY, -10 * MINUTE, 10 * MINUTE, 40 * DAY])
@pytest.mark.parametrize("mode", OnPlatformError)
async def test_an_exhausted_org_stays_so_in_an_outage(skew: float, mode: OnPlatformError) -> None:
    """A period that had ended by our clock when its answer came is not taken for a new one."""
    scene = near_the_end(skew, limit=0, on_platform_error=mode)
    await scene.decide()
    scene.platform.now = UnreachableQuotas()
    for _ in range(20):
        scene.clock.advance(0.04)
        assert (await scene.decide()).reason is Reason.OVER_QUOTA


@pytest.mark.parametrize("skew", SKEWS)
async def test_an_orphaned_charge_is_a_credit(skew: float) -> None:
    """Its caller left, the platform counted."""
    scene = near_the_end(skew)
    charge = Charge(ORG, "p", RESOURCE, 3, "k", private=True)
    outcome = scene.store.count(charge)
    scene.books.orphan(charge, outcome, Moment.of(scene.clock), None)
    assert scene.books.credits.units(scene.clock.time()) == 3


def test_a_step_of_the_wall_clock_forgets_no_denial_and_no_outage() -> None:
    """Their ages go by the clock that cannot be set."""
    scene = Scene()
    charge = Charge(ORG, "p", RESOURCE, 1, "k", private=True)
    scene.books.learn(charge, Refused(quota(0)), Moment(0.0, NOW), None)
    scene.books.outages.let_through(SLOT, 1, 0.0)
    stepped = Moment(1.0, NOW + 40 * DAY)
    who = scene.identities.who
    assert not isinstance(who, str)
    assert scene.books.ledger.denial(SLOT, 1, who, stepped) is not None
    assert scene.books.outages.spent(SLOT, stepped.monotonic).seconds == 1.0
