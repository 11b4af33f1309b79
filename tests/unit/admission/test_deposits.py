"""Calls that are settled by usage, through the engine: deposit, hold, note, settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from sidecar.admission.holds import Held
from sidecar.admission.journal_entries import Entry, JournalUnwritable, Purpose, Record
from sidecar.admission.reporter import Reporter
from sidecar.domain.choices import Enforcement, OnOverQuota, OnPlatformError, Refund
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import AttemptEnd, Decision, Headers, Reason, RequestIdOrigin
from sidecar.domain.quota import FailureKind
from sidecar.domain.usage import Estimate, HoldRule, Settled, Usage, UsageRule
from sidecar.policy.amounts import ConstantAmount
from tests.fakes.admission import KnownBody
from tests.fakes.quotas import HeldQuotas, UnreachableQuotas
from tests.unit.admission.scene import ORG, RESOURCE, Scene
from tests.unit.admission.settling import LastingStore
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
        """Read a body that is a number."""
        yield
        return Estimate(0, int(body), None)


def scene(*, limit: int = 100, **meter: Any) -> Scene:
    """Make an engine whose route is settled by usage."""
    return Scene(limit=limit, estimates=Announced(), **{"usage": HELD, **meter})


async def _decide(it: Scene, most: int = 10) -> Decision:
    return await it.decide(body=KnownBody(str(most).encode()))


async def _ended(it: Scene, decision: Decision, tokens: int) -> None:
    assert decision.permit is not None
    it.engine.attempt_ended(decision.permit, AttemptEnd.DONE, used(output=tokens))
    await it.settler.close()


def _held(it: Scene) -> Held:
    return it.settlements.holds.held(SLOT)


def _at_rest(it: Scene) -> bool:
    return len(it.settlements.holds) == 0 and len(it.books.journal) == 0


async def test_a_call_is_charged_what_its_answer_says() -> None:
    """A deposit of 1 before, 6 after; the hold is there between."""
    it = scene()
    decision = await _decide(it)
    assert decision.reason is Reason.WITHIN_QUOTA
    assert it.store.used[SLOT] == 1
    assert _held(it) == Held(0, 9)
    await _ended(it, decision, 7)
    assert it.store.used[SLOT] == 7
    assert _at_rest(it)


async def test_of_many_calls_at_once_none_goes_over_the_limit() -> None:
    """Limit 100, 64 calls of up to 30 units that announce what they use."""
    it = scene()
    calls = [1 + n % 30 for n in range(64)]
    decisions = await asyncio.gather(*(_decide(it, most) for most in calls))
    for most, decision in zip(calls, decisions, strict=True):
        if decision.permit is not None:
            await _ended(it, decision, most)
    assert it.observer.of("units_settled")
    assert Settled.OVERRUN not in {told[2] for told in it.observer.of("units_settled")}
    assert it.store.used[SLOT] <= 100
    assert _at_rest(it)


async def test_a_call_that_does_not_fit_may_try_again_in_a_second() -> None:
    """The others hold what is left; nothing is consumed for it."""
    it = scene()
    for _ in range(3):
        await _decide(it, 30)
    before = it.store.used[SLOT]
    refused = await _decide(it, 30)
    assert (refused.reason, refused.status, refused.retry_after) == (Reason.OVER_QUOTA, 429, 1.0)
    assert refused.passing
    assert refused.quota is not None
    assert refused.quota.remaining == 97 - 3 * 29
    assert it.store.used[SLOT] == before
    assert (await _decide(it, 9)).reason is Reason.WITHIN_QUOTA


async def test_a_hold_that_the_answer_does_not_cover_gives_the_deposit_back() -> None:
    """Nothing was known before; another replica has used the rest."""
    it = scene(limit=5)
    refused = await _decide(it, 30)
    assert refused.reason is Reason.OVER_QUOTA
    assert it.books.credits.units_of(SLOT, it.clock.time()) == 1
    assert _at_rest(it)


async def test_what_was_refused_by_a_hold_is_asked_about_again() -> None:
    """Though a credit could pay its deposit: what is known may be wrong by now."""
    it = scene(limit=5)
    await _decide(it, 30)
    it.store.limits[SLOT] = 100
    assert (await _decide(it, 30)).reason is Reason.OVER_QUOTA
    it.clock.advance(5.0)
    assert (await _decide(it, 30)).reason is Reason.WITHIN_QUOTA


@pytest.mark.parametrize(
    ("refund", "end", "units"),
    [
        (Refund.UNREACHED, AttemptEnd.UNREACHED, 0),
        (Refund.FAILED, AttemptEnd.FAILED, 0),
        (Refund.UNREACHED, AttemptEnd.FAILED, 1),
        (Refund.NEVER, AttemptEnd.UNREACHED, 1),
    ],
)
async def test_a_failed_attempt_costs_its_deposit_less_its_refund(
    refund: Refund, end: AttemptEnd, units: int
) -> None:
    """Even if it names usage."""
    it = scene(refund=refund)
    decision = await _decide(it)
    assert decision.permit is not None
    it.engine.attempt_ended(decision.permit, end, used(output=50))
    assert it.store.used[SLOT] - it.books.credits.units(it.clock.time()) == units
    assert _at_rest(it)


async def test_an_answer_of_4xx_costs_its_deposit() -> None:
    """It has no usage to settle by."""
    it = scene()
    decision = await _decide(it)
    assert decision.permit is not None
    it.engine.attempt_ended(decision.permit, AttemptEnd.DONE)
    assert it.store.used[SLOT] == 1
    assert _at_rest(it)


async def test_a_cancelled_decision_holds_nothing() -> None:
    """Its deposit becomes a credit."""
    it = scene()
    it.platform.now = platform = HeldQuotas(it.store)
    task = asyncio.ensure_future(_decide(it, 30))
    for _ in range(10):
        await asyncio.sleep(0)
    assert platform.asked
    assert _held(it).deciding == 30
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    platform.release.set()
    await asyncio.sleep(0.001)
    assert _at_rest(it)
    assert it.books.credits.units_of(SLOT, it.clock.time()) == 1


async def test_a_call_over_the_limit_holds_nothing() -> None:
    """The platform refuses its deposit."""
    it = scene(limit=0)
    assert (await _decide(it)).reason is Reason.OVER_QUOTA
    assert _at_rest(it)


async def test_without_an_answer_deposit_and_what_is_owed_wait_in_the_journal() -> None:
    """Both count in the budget of the outage, and are counted once."""
    it = scene()
    it.platform.now = UnreachableQuotas()
    decision = await _decide(it)
    assert decision.reason is Reason.FAIL_OPEN
    await _ended(it, decision, 7)
    assert it.books.journal.units == 7
    assert it.books.outages.spent(SLOT, it.clock.monotonic()).units == 7
    it.platform.now = it.honest
    await _report(it)
    assert it.store.used[SLOT] == 7
    assert _at_rest(it)


async def test_a_deposit_over_the_cost_is_given_back_once_it_is_counted() -> None:
    """It was admitted without an answer."""
    it = scene(amount=ConstantAmount(8))
    it.platform.now = UnreachableQuotas()
    await _ended(it, await _decide(it), 3)
    it.platform.now = it.honest
    await _report(it)
    assert it.store.used[SLOT] == 8
    assert it.books.credits.units_of(SLOT, it.clock.time()) == 5
    assert _at_rest(it)


@pytest.mark.parametrize("on_error", [OnPlatformError.FAIL_OPEN, OnPlatformError.LAST_KNOWN])
async def test_in_an_outage_holds_count_against_what_was_known(on_error: OnPlatformError) -> None:
    """99 were left, 60 are held, 50 do not fit: it may be in a moment."""
    it = scene(on_platform_error=on_error)
    await _decide(it, 60)
    it.clock.advance(10.0)
    it.platform.now = UnreachableQuotas()
    refused = await _decide(it, 50)
    assert (refused.reason, refused.retry_after) == (Reason.OVER_QUOTA, 1.0)
    assert (await _decide(it, 30)).reason.value == on_error.value


class Unwritable:
    """A journal that takes nothing, and says so once it was tried."""

    durable = True
    damaged_bytes = 0

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def append(self, record: Record) -> None:
        """Refuse."""
        if isinstance(record, Entry):
            raise JournalUnwritable("the disk is full")


@pytest.mark.parametrize("problem", ["", "the disk is full"])
async def test_without_a_journal_that_can_be_written_calls_fail_closed(problem: str) -> None:
    """What they cost could not be remembered: the deposit is given back, or not consumed."""
    it = Scene(journal=Unwritable(problem), estimates=Texts(), usage=rule())
    refused = await it.decide(body=KnownBody(b"400"))
    assert (refused.reason, refused.status) == (Reason.FAIL_CLOSED, 503)
    assert it.store.used[SLOT] == it.books.credits.units(it.clock.time()) == (not problem)
    assert len(it.settlements.holds) == 0


async def test_in_shadow_a_call_passes_without_a_journal() -> None:
    """A trial changes no answer."""
    it = Scene(
        journal=Unwritable(),
        estimates=Texts(),
        usage=rule(),
        enforcement=Enforcement.SHADOW,
    )
    decision = await it.decide(body=KnownBody(b"400"))
    assert decision.reason is Reason.SHADOW
    await _ended(it, decision, 7)
    assert len(it.settlements.holds) == 0


class Texts(Announced):
    """Estimates of how much text the bodies have, in digits."""

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        """Read a body that is a number."""
        yield
        return Estimate(int(body), None, None)


async def test_what_a_killed_process_would_owe_is_noted_before_the_call_passes() -> None:
    """By its request; forgotten when its answer has ended."""
    it = Scene(limit=1000, estimates=Texts(), usage=rule(), journal=LastingStore())
    decision = await it.decide(body=KnownBody(b"400"))
    (entry,) = it.books.journal.entries()
    assert (entry.purpose, entry.charge.amount) == (Purpose.RUNNING, 99)
    await _ended(it, decision, 7)
    assert _at_rest(it)


@pytest.mark.parametrize(
    "change",
    [{"enforcement": Enforcement.SHADOW}, {"on_over_quota": OnOverQuota.ALLOW}],
    ids=["shadow", "allow"],
)
async def test_where_nothing_is_denied_holds_deny_nothing(change: dict[str, Any]) -> None:
    """What the quota does not cover is forgiven."""
    it = scene(limit=5, **change)
    decisions = [await _decide(it, 30) for _ in range(7)]
    assert all(decision.permit is not None for decision in decisions)
    for decision in decisions:
        await _ended(it, decision, 7)
    outcomes = {told[2] for told in it.observer.of("units_settled")}
    assert Settled.FORGIVEN in outcomes
    assert Settled.OVERRUN not in outcomes
    assert it.store.used[SLOT] == 5
    assert _at_rest(it)


async def test_a_trusted_call_without_a_shared_number_gets_nothing_back() -> None:
    """Its deposit is the least that it costs."""
    it = scene(amount=ConstantAmount(8))
    decision = await it.decide(
        request_id="r", origin=RequestIdOrigin.TRUSTED, body=KnownBody(b"10")
    )
    await _ended(it, decision, 3)
    assert it.store.used[SLOT] == 8
    assert it.books.credits.units(it.clock.time()) == 0


async def test_an_overrun_refuses_the_orgs_next_calls() -> None:
    """Until the platform has quota again."""
    it = scene(limit=20, usage=rule())
    await _ended(it, await _decide(it), 50)
    assert it.store.used[SLOT] == 20
    refused = await _decide(it)
    assert refused.reason is Reason.OVER_QUOTA
    assert len(it.honest.asked) == 3  # a deposit, what was owed, and what remained


async def test_a_body_without_room_is_refused() -> None:
    """It cannot be forwarded either."""
    refused = await scene().decide(body=NoBody())
    assert (refused.reason, refused.status) == (Reason.OVERLOADED, 503)


async def test_a_body_that_is_too_long_says_nothing_of_its_cost() -> None:
    """The rule's default is held."""
    it = scene()
    assert (await it.decide(body=KnownBody(b"9" * 2000))).reason is Reason.WITHIN_QUOTA
    assert _held(it).admitted == 9


async def test_a_route_without_usage_holds_and_notes_nothing() -> None:
    """It is charged as ever."""
    it = Scene(estimates=Announced())
    decision = await it.decide()
    assert decision.permit is not None
    assert decision.permit.terms is None
    assert _at_rest(it)


async def test_a_lost_answer_to_a_deposit_is_reclaimed_where_its_hold_does_not_fit() -> None:
    """It may have been counted."""
    it = scene()
    await _decide(it, 60)
    it.clock.advance(10.0)
    it.platform.now = UnreachableQuotas(FailureKind.TIMEOUT)
    assert (await _decide(it, 50)).reason is Reason.OVER_QUOTA
    purposes = [entry.purpose for entry in it.books.journal.entries()]
    assert purposes == [Purpose.RECLAIM]


class NoBody:
    """A body that there is no memory for."""

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Refuse."""
        raise NoRoomError


async def _report(it: Scene) -> None:
    reporter = Reporter(
        books=it.books,
        quotas=it.platform,
        clock=it.clock,
        observer=it.observer,
        settlements=it.settlements,
    )
    assert await reporter.report()


def _plain(**meter: Any) -> Scene:
    """Make an engine whose route has no `usage`."""
    return Scene(limit=100, **meter)


async def _named(it: Scene, units: int, end: AttemptEnd = AttemptEnd.DONE) -> None:
    """Make a call whose product names its cost."""
    decision = await it.decide()
    permit = it.engine.priced_by_product(decision)
    it.engine.attempt_ended(permit, end, Usage(None, None, None, 0, None, units))
    await it.settler.close()


@pytest.mark.parametrize(("units", "used_units", "credit"), [(7, 7, 0), (1, 1, 0), (0, 1, 1)])
async def test_a_product_may_name_the_cost_on_a_route_without_usage(
    units: int, used_units: int, credit: int
) -> None:
    """All of it, the deposit included; what the deposit is over it is a credit."""
    it = _plain()
    await _named(it, units)
    assert it.store.used[SLOT] == used_units
    assert it.books.credits.units_of(SLOT, it.clock.time()) == credit
    assert _at_rest(it)


async def test_a_cost_that_the_product_names_stands_however_the_attempt_ended() -> None:
    """A failed one is not given back besides."""
    it = _plain(refund=Refund.FAILED)
    await _named(it, 4, AttemptEnd.FAILED)
    assert it.store.used[SLOT] == 4
    assert it.books.credits.units_of(SLOT, it.clock.time()) == 0


@pytest.mark.parametrize(
    ("meter", "outcome"),
    [({}, Settled.OVERRUN), ({"on_over_quota": OnOverQuota.ALLOW}, Settled.FORGIVEN)],
)
async def test_a_cost_over_the_quota_follows_the_route(
    meter: dict[str, Any], outcome: Settled
) -> None:
    """It blocks, or it is forgiven."""
    it = _plain(**meter)
    await _named(it, 120)
    assert it.store.used[SLOT] == 100
    assert (outcome, 20) in [each[-2:] for each in it.observer.of("units_settled")]


async def test_the_cost_that_a_product_names_replaces_its_answers() -> None:
    """On a route with `usage`; no part of a unit is made of it."""
    it = scene()
    decision = await _decide(it)
    assert decision.permit is not None
    it.engine.attempt_ended(decision.permit, AttemptEnd.DONE, replace(used(output=50), units=3))
    await it.settler.close()
    assert it.store.used[SLOT] == 3
    assert _at_rest(it)
