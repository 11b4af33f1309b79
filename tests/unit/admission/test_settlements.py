"""What becomes of a cost: every case of the rules, against a platform that counts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sidecar.admission.journal_entries import Purpose
from sidecar.domain.model import Charge
from sidecar.domain.quota import FailureKind
from sidecar.domain.usage import Estimate, MissingCause, OnMissing, OnOverrun, Settled, Tokens
from tests.fakes.quotas import (
    RESET_AT,
    AnswerLosingQuotas,
    DisguisedQuotas,
    UnreachableQuotas,
)
from tests.unit.admission.scene import identity
from tests.unit.admission.settling import ORG, RESOURCE, SLOT, Desk
from tests.unit.admission.usage_rules import rule, terms, unnamed, used


async def test_what_the_cost_is_over_the_deposit_is_consumed() -> None:
    """1 before, 11 after."""
    desk = Desk()
    await desk.call(used(5, 7))
    assert desk.used == 12
    assert desk.settled() == {Settled.COUNTED: 11}
    assert desk.observer.of("usage_read") == [("chat", Tokens(5, output=7))]
    assert desk.at_rest()


async def test_what_the_deposit_is_over_the_cost_is_a_credit() -> None:
    """And pays for the next call, whole or in part."""
    desk = Desk()
    await desk.call(used(3), deposit=10)
    assert (desk.used, desk.credits) == (10, 7)
    await desk.call(used(21))
    assert (desk.used, desk.credits) == (10 + 1 + 13, 0)
    assert desk.settled() == {Settled.RETURNED: 7, Settled.CREDITED: 7, Settled.COUNTED: 13}
    assert desk.at_rest()


async def test_parts_of_a_unit_are_charged_once_they_are_whole() -> None:
    """Ten calls of 0.3 are 3 units."""
    desk = Desk()
    for _ in range(10):
        await desk.call(used(3), terms(rule(per=Decimal(10))))
    assert desk.used - desk.credits == 3


async def test_a_deposit_that_is_shared_is_the_least_that_a_call_costs() -> None:
    """Another replica may have charged the same key: nothing of it is given back."""
    desk = Desk()
    await desk.call(used(3), deposit=10, private=False)
    assert (desk.used, desk.credits) == (10, 0)
    assert desk.at_rest()


async def test_a_shared_call_draws_credits_whole_or_not_at_all() -> None:
    """Seven credits do not pay for eight units that it owes, but for six."""
    desk = Desk()
    desk.books.credits.add(SLOT, 7, RESET_AT, desk.clock.time())
    await desk.call(used(9), private=False)
    assert (desk.used, desk.credits) == (9, 7)
    await desk.call(used(7), private=False)
    assert (desk.used, desk.credits) == (10, 1)


async def test_the_lease_pays_before_the_platform_is_asked() -> None:
    """In part too."""
    desk = Desk()
    permit, charge = desk.admit()
    leases = desk.books.leases
    last = desk.books.ledger.remaining(SLOT, desk.clock.time())
    asked = leases.ask(SLOT, 1, last, desk.now)
    outcome = desk.store.count(Charge(ORG, "acme-notes", RESOURCE, asked, "lease", True))
    leases.grant(SLOT, outcome.quota, desk.now)  # type: ignore[union-attr]
    key = desk.settlements.settle(permit, charge, used(1 + asked + 6), desk.now)
    assert key is not None
    desk.settler.send(key)
    await desk.settler.close()
    assert desk.settled() == {Settled.LEASED: asked, Settled.COUNTED: 6}
    assert desk.used == 1 + asked + 6
    assert leases.held == 0


async def test_what_remains_is_consumed_and_the_rest_is_overrun() -> None:
    """9 of 10 are left after the deposit; 20 are owed."""
    desk = Desk(limit=10)
    await desk.call(used(21))
    assert desk.used == 10
    assert desk.settled() == {Settled.OVERRUN: 11, Settled.COUNTED: 9}
    assert desk.at_rest()


async def test_credits_of_that_moment_pay_before_the_rest_is_overrun() -> None:
    """Deposits of calls that were refused by their hold come back after it was sent."""
    desk = Desk(limit=10)
    permit, charge = desk.admit()
    key = desk.settlements.settle(permit, charge, used(15), desk.now)
    desk.books.credits.add(SLOT, 5, RESET_AT, desk.clock.time())
    desk.settler.send(str(key))
    await desk.settler.close()
    assert desk.settled() == {Settled.CREDITED: 5, Settled.COUNTED: 9}
    assert (desk.used, desk.credits) == (10, 0)
    assert desk.at_rest()


async def test_an_overrun_blocks_the_orgs_calls_for_five_seconds() -> None:
    """Then the platform is asked again."""
    desk = Desk(limit=10)
    await desk.call(used(21))
    ledger = desk.books.ledger
    assert ledger.denial(SLOT, 1, identity(), desk.now) is not None
    assert ledger.denial(("other", RESOURCE), 1, identity(), desk.now) is None
    desk.clock.advance(5.0)
    assert ledger.denial(SLOT, 1, identity(), desk.now) is None


async def test_an_event_and_an_answer_that_affords_a_call_end_a_block() -> None:
    """As they end a denial."""
    desk = Desk(limit=10)
    await desk.call(used(21))
    desk.books.ledger.forget_denial(ORG, desk.clock.time())
    assert desk.books.ledger.denial(SLOT, 1, identity(), desk.now) is None


@pytest.mark.parametrize("forgiving", ["rule", "terms"])
async def test_a_forgiven_overrun_has_no_consequence(forgiving: str) -> None:
    """By the policy, or in shadow."""
    desk = Desk(limit=10)
    overrun = OnOverrun.FORGIVE if forgiving == "rule" else OnOverrun.BLOCK
    await desk.call(used(21), terms(rule(overrun=overrun), forgive=forgiving == "terms"))
    assert desk.settled() == {Settled.FORGIVEN: 11, Settled.COUNTED: 9}
    desk.clock.advance(0.1)
    assert desk.books.ledger.denial(SLOT, 1, identity(), desk.now) is None
    assert desk.at_rest()


async def test_others_may_consume_what_remains_three_times() -> None:
    """After the third refusal nothing more is asked for."""
    desk = Desk(limit=100)
    permit, charge = desk.admit()
    key = desk.settlements.settle(permit, charge, used(200), desk.now)
    asked = []
    while key is not None:
        entry = desk.books.journal.take(desk.now, key)
        assert entry is not None
        asked.append(entry.charge.amount)
        outcome = desk.store.count(entry.charge)
        desk.store.used[SLOT] += 10  # another replica
        _, key = desk.settlements.answered(entry, outcome, desk.now)
    assert asked == [199, 99, 89]
    assert desk.settled() == {Settled.OVERRUN: 199}
    assert desk.at_rest()


async def test_what_is_owed_waits_in_the_journal_for_an_answer() -> None:
    """It counts as admitted without one, is held, and is counted once."""
    desk = Desk()
    desk.platform.now = UnreachableQuotas()
    await desk.call(used(12))
    assert desk.books.journal.units == 11
    assert desk.holds.held(SLOT).admitted == 11
    assert desk.books.outages.spent(SLOT, desk.clock.monotonic()).units == 11
    desk.platform.now = desk.honest
    assert await desk.reporter.report()
    assert desk.used == 12
    assert desk.settled() == {Settled.COUNTED: 11}
    assert desk.at_rest()


@pytest.mark.parametrize("losing", [True, False])
async def test_an_answer_that_is_lost_is_asked_for_under_the_same_key(losing: bool) -> None:  # noqa: FBT001
    """Counted once, whether the platform had counted or not."""
    desk = Desk()
    desk.platform.now = (
        AnswerLosingQuotas(desk.store) if losing else UnreachableQuotas(FailureKind.TIMEOUT)
    )
    await desk.call(used(12))
    desk.platform.now = desk.honest
    await desk.reporter.report()
    assert desk.used == 12
    assert desk.at_rest()


async def test_a_disguised_failure_is_no_answer() -> None:
    """A sudden "unlimited" must not swallow what is owed."""
    desk = Desk()
    permit, charge = desk.admit()
    desk.platform.now = DisguisedQuotas(desk.store)
    key = desk.settlements.settle(permit, charge, used(12), desk.now)
    assert key is not None
    desk.settler.send(key)
    await desk.settler.close()
    assert desk.books.journal.units == 11
    desk.platform.now = desk.honest
    await desk.reporter.report()
    assert desk.used == 12


async def test_a_refusal_of_the_reporters_round_is_overrun_too() -> None:
    """What remains is sent in its next round."""
    desk = Desk(limit=10)
    desk.platform.now = UnreachableQuotas()
    await desk.call(used(21))
    desk.platform.now = desk.honest
    await desk.reporter.report()
    await desk.reporter.report()
    assert desk.used == 10
    assert desk.settled() == {Settled.OVERRUN: 11, Settled.COUNTED: 9}
    assert desk.at_rest()


async def test_a_refund_owes_nothing() -> None:
    """What was noted is forgotten, what was held is free."""
    desk = Desk()
    permit, charge = desk.admit(terms(estimate=Estimate(400, None, None), hold=30))
    assert len(desk.books.journal) == 1
    desk.settlements.void(permit, charge)
    assert desk.at_rest()


async def test_an_unlimited_org_is_settled_and_never_held() -> None:
    """It is the platform's statistics."""
    desk = Desk(limit=-1)
    desk.platform.now = UnreachableQuotas()
    await desk.call(used(12))
    assert desk.holds.held(SLOT).units == 0
    desk.platform.now = desk.honest
    await desk.reporter.report()
    assert desk.used == 12


@pytest.mark.parametrize(
    ("missing", "units"), [(OnMissing.ESTIMATE, 30), (OnMissing.HOLD, 41), (OnMissing.AMOUNT, 1)]
)
async def test_an_answer_without_usage_is_counted_and_charged(
    missing: OnMissing, units: int
) -> None:
    """By text, by the whole hold, or the deposit."""
    desk = Desk()
    of = terms(rule(missing=missing), Estimate(80, None, None), hold=40)
    await desk.call(unnamed(40, MissingCause.CUT), of)
    assert desk.used == units
    assert desk.observer.of("usage_missing") == [("chat", MissingCause.CUT)]


async def test_a_period_that_ended_voids_what_was_carried() -> None:
    """What is owed counts in the new one."""
    desk = Desk()
    tenths = terms(rule(per=Decimal(10)))
    await desk.call(used(9), tenths)
    assert desk.credits == 1
    desk.clock.advance(RESET_AT - desk.clock.time() + 1)
    desk.store.reset_at += 30 * 86_400
    desk.store.used.clear()
    await desk.call(used(15), tenths)
    assert desk.used == 1
    assert desk.credits == 0


async def test_the_key_of_what_is_owed_is_that_of_its_amount() -> None:
    """Another amount of the same call is another charge; the same is the same."""
    desk, again, other = Desk(), Desk(), Desk(nonce=b"1" * 32)
    for each in (desk, again, other):
        await each.call(used(12))
    keys = [sorted(each.store.counted) for each in (desk, again, other)]
    assert keys[0] == keys[1] != keys[2]


def test_a_route_without_usage_is_not_settled() -> None:
    """A fault of the caller."""
    desk = Desk()
    permit, charge = desk.admit()
    bare = type(permit)("r", "chat", charge, True, permit.refund, None)
    with pytest.raises(ValueError, match="chat"):
        desk.settlements.settle(bare, charge, used(1), desk.now)


def test_what_was_running_is_owed_by_the_process_that_follows() -> None:
    """By the request's part: 100 tokens, less the deposit."""
    killed = Desk()
    killed.admit(terms(estimate=Estimate(400, None, None)))
    (entry,) = killed.books.journal.entries()
    assert entry.purpose is Purpose.RUNNING
    assert killed.books.journal.units == 0
    after = Desk()
    assert after.settlements.restore([entry], after.now) == []
    assert after.books.journal.units == 99
    assert after.holds.held(SLOT).admitted == 99
    assert after.books.outages.spent(SLOT, after.clock.monotonic()).units == 99
    assert after.observer.of("usage_missing") == [("chat", MissingCause.RESTART)]


async def test_a_kill_loses_less_than_a_unit_of_what_was_carried_and_of_each_call() -> None:
    """Whole units alone are written down: twenty calls run, whose requests cost 2.675 units."""
    of = terms(rule(per=Decimal(1000)), Estimate(10_700, None, None))
    killed = Desk(limit=1000)
    await killed.call(used(1999), of)
    for _ in range(20):
        killed.admit(of)
    after = Desk()
    after.settlements.restore(killed.books.journal.entries(), after.now)
    await after.reporter.report()
    charged = killed.used + after.used
    exact = Decimal("1.999") + 20 * Decimal("2.675")
    assert 0 <= exact - charged < 1 + 20
    assert charged == 1 + 20 * 2


async def test_the_later_of_two_entries_of_a_call_replaces_the_other() -> None:
    """The process was killed between settling and forgetting what was noted."""
    killed = Desk()
    permit, charge = killed.admit(terms(estimate=Estimate(400, None, None)))
    noted = killed.books.journal.entries()
    killed.settlements.settle(permit, charge, used(12), killed.now)
    after = Desk()
    after.settlements.restore([*noted, *killed.books.journal.entries()], after.now)
    await after.reporter.report()
    assert after.used == 11
    assert after.at_rest()


async def test_two_calls_of_one_shared_key_owe_each_for_itself() -> None:
    """One before a restart and one after: what the first owes still waits."""
    before = Desk()
    permit, charge = before.admit(private=False)
    before.settlements.settle(permit, charge, used(12), before.now)
    after = Desk()
    after.settlements.restore(before.books.journal.entries(), after.now)
    assert after.settlements.name_of(charge) not in {"", after.settlements.name_of(charge)}
    await after.call(used(8), terms(call=after.settlements.name_of(charge)), private=False)
    await after.reporter.report()
    assert after.used == 1 + 7 + 11
    assert after.at_rest()


def test_a_key_of_its_own_names_its_call() -> None:
    """No other process and no earlier call has it."""
    charge = Charge(ORG, "acme-notes", RESOURCE, 1, "k", True)
    assert not Desk().settlements.name_of(charge)


def test_entries_of_other_purposes_are_left_to_the_books() -> None:
    """They are no settlements."""
    desk = Desk()
    charge = Charge(ORG, "acme-notes", RESOURCE, 1, "k", True)
    desk.books.journal.open(charge, now=desk.now, sent=False, limited=False)
    entries = desk.books.journal.entries()
    assert Desk().settlements.restore(entries, desk.now) == entries


def test_what_the_journal_gives_up_is_no_longer_held() -> None:
    """And counted as dropped."""
    desk = Desk()
    permit, charge = desk.admit()
    key = desk.settlements.settle(permit, charge, used(12), desk.now)
    entry = desk.books.journal.take(desk.now, key)
    assert entry is not None
    desk.settlements.dropped(entry)
    assert len(desk.holds) == 0
    assert desk.settled() == {Settled.DROPPED: 11}
