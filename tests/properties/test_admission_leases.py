"""Leases under random traffic at several replicas: never more executed than was granted."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.choices import Accuracy, OnPlatformError
from sidecar.domain.model import Decision
from sidecar.policy.amounts import ConstantAmount
from tests.fakes.quotas import HonestQuotas, QuotaStore, UnreachableQuotas
from tests.unit.admission.scene import Scene

BURSTS = st.lists(
    st.tuples(
        st.integers(0, 1),  # which replica
        st.integers(1, 12),  # calls at once
        st.sampled_from([0.0, 0.001, 0.05, 1.5, 2_000_000.0]),  # seconds passed before; a month
        st.booleans(),  # whether the platform answers
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(BURSTS, st.integers(20, 600), st.integers(1, 3))
def test_what_is_executed_was_granted(
    bursts: list[tuple[int, int, float, bool]], limit: int, amount: int
) -> None:
    """In sum over replicas, whatever fails or ends meanwhile."""

    async def play() -> None:
        store = QuotaStore(default=limit)
        scenes = []
        for replica in range(2):
            scene = Scene(
                nonce=bytes([replica]) * 32,
                leases=True,
                accuracy=Accuracy.LEASE,
                amount=ConstantAmount(amount),
                on_platform_error=OnPlatformError.FAIL_CLOSED,
            )
            scene.honest = HonestQuotas(store)
            scene.platform.now = scene.honest
            scenes.append(scene)
        executed = 0
        for replica, calls, seconds, answers in bursts:
            for scene in scenes:
                scene.clock.advance(seconds)
            scene = scenes[replica]
            scene.platform.now = scene.honest if answers else UnreachableQuotas()
            decisions: list[Decision] = await asyncio.gather(
                *(scene.decide() for _ in range(calls))
            )
            executed += amount * sum(decision.permit is not None for decision in decisions)
            held = sum(scene.books.leases.held for scene in scenes)
            assert executed + held <= sum(store.used.values()) <= limit
        for scene in scenes:
            await scene.lessor.close()

    asyncio.run(play())
