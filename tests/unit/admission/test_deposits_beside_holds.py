"""Calls that must leave what others hold: trusted ones, and those of routes without usage."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from sidecar.domain.choices import Enforcement
from sidecar.domain.model import Decision, Reason, RequestIdOrigin
from sidecar.domain.usage import Settled
from tests.fakes.admission import KnownBody, policy_of_pages
from tests.fakes.quotas import UnreachableQuotas
from tests.unit.admission.scene import Scene, route
from tests.unit.admission.test_deposits import SLOT, _at_rest, _decide, _ended, _held, scene


async def _trusted(it: Scene, most: int, request_id: str = "r") -> Decision:
    return await it.decide(
        request_id=request_id,
        origin=RequestIdOrigin.TRUSTED,
        body=KnownBody(str(most).encode()),
    )


async def test_a_trusted_call_that_a_hold_refuses_pays_nothing() -> None:
    """It is refused by what is known: after its deposit, nothing could be given back."""
    it = scene()
    assert (await _trusted(it, 60, "a")).permit is not None
    assert (await _trusted(it, 60, "b")).reason is Reason.OVER_QUOTA
    assert it.store.used[SLOT] == 1


async def test_a_trusted_call_whose_deposit_was_consumed_runs() -> None:
    """One asks where nothing is known, and cannot be given back what it paid for that."""
    it = scene(limit=5)
    assert (await _trusted(it, 30, "a")).permit is not None
    assert _held(it).admitted == 29
    assert (await _trusted(it, 30, "b")).reason is Reason.OVER_QUOTA
    assert it.store.used[SLOT] == 1


async def test_of_trusted_calls_at_once_one_asks_and_the_others_go_by_its_answer() -> None:
    """Nothing was known; none that is refused has paid."""
    it = scene()
    decisions = await asyncio.gather(*(_trusted(it, 30, f"r{n}") for n in range(20)))
    admitted = [decision for decision in decisions if decision.permit is not None]
    assert len(admitted) == 3
    assert it.store.used[SLOT] == 3
    for decision in admitted:
        await _ended(it, decision, 30)
    assert it.store.used[SLOT] == 90
    assert _at_rest(it)


async def test_trusted_calls_that_waited_for_an_answer_in_vain_go_on() -> None:
    """An outage decides about each by itself."""
    it = scene()
    it.platform.now = UnreachableQuotas()
    decisions = await asyncio.gather(*(_trusted(it, 9, f"r{n}") for n in range(3)))
    assert [decision.reason for decision in decisions] == [Reason.FAIL_OPEN] * 3


async def test_a_trusted_call_counts_only_on_credits_that_cover_all_of_it() -> None:
    """It draws them whole or not at all."""
    it = scene(limit=20)
    await _ended(it, await _decide(it, 1), 1)
    it.books.credits.add(SLOT, 15, it.store.reset_at, it.clock.time())
    assert (await _trusted(it, 30, "a")).reason is Reason.OVER_QUOTA
    assert (await _trusted(it, 15, "b")).permit is not None
    assert (await _decide(it, 19)).permit is not None  # its own: it may draw a part


def _with_plain_route(limit: int, **meter: Any) -> Scene:
    """Make an engine with a second route, which is charged as ever."""
    it = scene(limit=limit)
    plain = replace(it.meter, usage=None, **meter)
    it.policies.current = policy_of_pages(
        {"/chat": route("chat", it.meter), "/p": route("p", plain)}
    )
    return it


async def test_a_call_that_is_not_settled_does_not_take_what_a_call_under_way_holds() -> None:
    """99 are left, 59 of them held."""
    it = _with_plain_route(100)
    running = await _decide(it, 60)
    decisions = [await it.decide("/p") for _ in range(41)]
    assert [each.reason for each in decisions[:40]] == [Reason.WITHIN_QUOTA] * 40
    assert (decisions[40].reason, decisions[40].retry_after) == (Reason.OVER_QUOTA, 1.0)
    assert it.store.used[SLOT] == 41
    await _ended(it, running, 60)
    assert it.store.used[SLOT] == 100
    assert it.observer.of("units_settled")[-1][2] is Settled.COUNTED


async def test_one_that_was_being_decided_gives_back_what_a_call_holds_by_then() -> None:
    """What is known was said a while ago, so that the platform is asked."""
    it = _with_plain_route(60)
    await _decide(it, 60)
    it.clock.advance(10.0)
    assert (await it.decide("/p")).reason is Reason.OVER_QUOTA
    assert it.books.credits.units_of(SLOT, it.clock.time()) == 1


async def test_where_nothing_is_denied_a_call_takes_what_others_hold() -> None:
    """In shadow, for instance."""
    it = _with_plain_route(60, enforcement=Enforcement.SHADOW)
    await _decide(it, 60)
    assert (await it.decide("/p")).reason is Reason.WITHIN_QUOTA
