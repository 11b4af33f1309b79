"""A cancelled request owns nothing (architecture, Rules that hold, 3)."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain.model import Reason
from tests.fakes.quotas import HeldQuotas, HeldThenLosingQuotas
from tests.unit.admission.scene import Scene


async def _cancel_one(scene: Scene, held: HeldQuotas) -> None:
    scene.platform.now = held
    task = asyncio.create_task(scene.decide(request_id="r"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_call_gives_its_claim_back() -> None:
    """The client may come again with the same ID."""
    scene = Scene()
    await _cancel_one(scene, HeldQuotas(scene.store))
    assert scene.books.replays.in_flight == 0


async def test_a_charge_granted_after_its_call_was_cancelled_becomes_a_credit() -> None:
    """Counted, not executed: the next call is paid by it."""
    scene = Scene()
    held = HeldQuotas(scene.store)
    await _cancel_one(scene, held)
    held.release.set()
    await asyncio.sleep(0.01)
    assert (await scene.decide()).reason is Reason.CREDITED


async def test_a_charge_refused_after_its_call_was_cancelled_leaves_only_a_denial() -> None:
    """Nothing was counted."""
    scene = Scene(limit=0)
    held = HeldQuotas(scene.store)
    await _cancel_one(scene, held)
    held.release.set()
    await asyncio.sleep(0.01)
    assert not scene.books.credits.by_slot
    assert len(scene.books.journal) == 0


async def test_a_charge_whose_result_stays_unknown_after_a_cancel_is_settled_later() -> None:
    """Perhaps counted, never executed: it is asked about again."""
    scene = Scene()
    held = HeldThenLosingQuotas(scene.store)
    await _cancel_one(scene, held)
    held.release.set()
    await asyncio.sleep(0.01)
    assert scene.books.journal.pending == 1


async def test_ten_thousand_aborts_leave_nothing_in_flight() -> None:
    """Conformance 40, as far as the books go."""
    scene = Scene()
    held = HeldQuotas(scene.store)
    scene.platform.now = held
    tasks = [asyncio.create_task(scene.decide(request_id=f"r{n}")) for n in range(10_000)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert scene.books.replays.in_flight == 0
    held.release.set()
    await asyncio.sleep(0.01)
    assert len(scene.books.journal) == 0
    assert scene.books.credits.units(scene.clock.time()) == sum(scene.store.used.values())
