"""What happens after the attempt: refunds, and what a request ID learns."""

from __future__ import annotations

import pytest

from sidecar.admission.journal_entries import Purpose
from sidecar.admission.moment import Moment
from sidecar.admission.steps import IllegalStep
from sidecar.domain.choices import OnReplay, Refund
from sidecar.domain.model import AttemptEnd, Reason, RequestIdOrigin
from tests.fakes.quotas import AnswerLosingQuotas, UnreachableQuotas
from tests.unit.admission.scene import Scene


@pytest.mark.parametrize(
    ("refund", "execution", "next_reason"),
    [
        (Refund.NEVER, AttemptEnd.UNREACHED, Reason.WITHIN_QUOTA),
        (Refund.UNREACHED, AttemptEnd.DONE, Reason.WITHIN_QUOTA),
        (Refund.UNREACHED, AttemptEnd.FAILED, Reason.WITHIN_QUOTA),
        (Refund.UNREACHED, AttemptEnd.UNREACHED, Reason.CREDITED),
        (Refund.FAILED, AttemptEnd.DONE, Reason.WITHIN_QUOTA),
        (Refund.FAILED, AttemptEnd.FAILED, Reason.CREDITED),
        (Refund.FAILED, AttemptEnd.UNREACHED, Reason.CREDITED),
    ],
)
async def test_a_refunded_attempt_pays_for_the_next(
    refund: Refund, execution: AttemptEnd, next_reason: Reason
) -> None:
    """The platform has no refund call, and needs none."""
    scene = Scene(refund=refund)
    first = await scene.decide()
    assert first.permit is not None
    scene.engine.attempt_ended(first.permit, execution)
    assert (await scene.decide()).reason is next_reason


async def test_a_credited_call_that_did_not_happen_gives_its_credit_back() -> None:
    """A credit is as good as units paid to the platform."""
    scene = Scene()
    for _ in range(3):
        decision = await scene.decide()
        assert decision.permit is not None
        scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert len(scene.honest.asked) == 1
    assert scene.books.credits.units(scene.clock.time()) == 1


async def test_a_refund_after_its_period_is_worth_nothing() -> None:
    """Last month's units do not pay this month's calls."""
    scene = Scene()
    decision = await scene.decide()
    assert decision.permit is not None
    scene.clock.advance(21 * 86_400)
    scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert not scene.books.credits.by_slot


async def test_a_journalled_call_that_did_not_happen_is_withdrawn() -> None:
    """Never sent, never executed: nothing is owed."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    decision = await scene.decide()
    assert decision.permit is not None
    scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    assert len(scene.books.journal) == 0


async def test_a_journalled_call_that_may_have_been_counted_is_settled_instead() -> None:
    """Perhaps counted, never executed: the platform is asked, and a credit comes of it."""
    scene = Scene()
    scene.platform.now = AnswerLosingQuotas(scene.store)
    decision = await scene.decide()
    assert decision.permit is not None
    scene.engine.attempt_ended(decision.permit, AttemptEnd.UNREACHED)
    entry = scene.books.journal.take(Moment.of(scene.clock))
    assert entry is not None
    assert entry.purpose is Purpose.RECLAIM


async def test_an_executed_journalled_call_becomes_reportable_only_then() -> None:
    """While its call runs, an entry could still be withdrawn, and is not sent."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    decision = await scene.decide()
    assert decision.permit is not None
    assert scene.books.journal.pending == 0
    scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)
    assert scene.books.journal.pending == 1


@pytest.mark.parametrize("execution", [AttemptEnd.UNREACHED, AttemptEnd.FAILED])
async def test_rejecting_replays_lets_an_attempt_that_failed_be_tried_again(
    execution: AttemptEnd,
) -> None:
    """Only what is seen again after it succeeded is refused: what failed may come again."""
    scene = Scene(replay=OnReplay.REJECT)
    first = await scene.decide(request_id="r")
    assert first.permit is not None
    scene.engine.attempt_ended(first.permit, execution)
    assert (await scene.decide(request_id="r")).permit is not None


async def test_rejecting_replays_refuses_a_repeat_while_the_first_is_in_flight() -> None:
    """Two at once must not both pass."""
    scene = Scene(replay=OnReplay.REJECT)
    await scene.decide(request_id="r")
    assert (await scene.decide(request_id="r")).reason is Reason.REPLAYED


async def test_a_permit_settled_twice_is_a_fault() -> None:
    """The book of claims would be wrong from then on."""
    scene = Scene()
    decision = await scene.decide(request_id="r")
    assert decision.permit is not None
    scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)
    with pytest.raises(IllegalStep):
        scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)


async def test_a_trusted_ids_retry_after_a_restart_shares_the_entry_that_is_still_owed() -> None:
    """One key, one entry, one report: the proxy said that it is the same request."""
    before = Scene()
    before.platform.now = UnreachableQuotas()
    await before.decide(request_id="id", origin=RequestIdOrigin.TRUSTED)
    after = Scene()
    after.platform.now = UnreachableQuotas()
    after.books.restore(before.books.journal.entries(), [], Moment.of(after.clock))
    retry = await after.decide(request_id="id", origin=RequestIdOrigin.TRUSTED)
    assert retry.permit is not None
    after.engine.attempt_ended(retry.permit, AttemptEnd.DONE)
    assert after.books.journal.units == 1
