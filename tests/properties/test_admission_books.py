"""The books under any order of calls, failures, cancellations, refunds and reports.

To the unit: what the platform counted, and what it refused to count in a report, is what was
executed and what is still in hand as credit or lease. Nothing owed is lost; nothing stays when
all is quiet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from sidecar.admission.journal_entries import Entry, Purpose
from sidecar.admission.reporter import Reporter
from sidecar.domain.choices import Accuracy, OnPlatformError, OnReplay, Refund
from sidecar.domain.model import AttemptEnd, Decision
from sidecar.domain.quota import FailureKind, Refused
from sidecar.policy.amounts import ConstantAmount
from sidecar.policy.compiled import FailOpenBudget
from tests.fakes.admission import policy_of_pages
from tests.fakes.quotas import (
    AnswerLosingQuotas,
    DisguisedQuotas,
    HeldQuotas,
    HeldThenLosingQuotas,
    UnreachableQuotas,
)
from tests.unit.admission.scene import RESOURCE, Scene, identity, quota, route

T = TypeVar("T")

OWN_WISH = "BB_BOOKS_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("BB_BOOKS_EXAMPLES", "250"))
STEPS = 40
"""Examples take 35 steps on average, so `BB_BOOKS_EXAMPLES=29000` is a million operations."""

ORGS = st.sampled_from(["org_a", "org_b"])
LIMIT = 120
BUDGET = 30


class Books(RuleBasedStateMachine):
    """One sidecar, two orgs, a platform that changes its mind."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.running: list[Decision] = []
        self.executed = 0
        self.turned = 0.0
        self.resolved: list[Entry] = []

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Run one step of the machine on its own loop."""
        return self.runner.run(awaitable)

    @initialize(
        accuracy=st.sampled_from(Accuracy),
        on_error=st.sampled_from(OnPlatformError),
        refund=st.sampled_from(Refund),
        replay=st.sampled_from(OnReplay),
    )
    def begin(
        self, accuracy: Accuracy, on_error: OnPlatformError, refund: Refund, replay: OnReplay
    ) -> None:
        self.scene = Scene(
            limit=LIMIT,
            leases=True,
            accuracy=accuracy,
            on_platform_error=on_error,
            refund=refund,
            replay=replay,
            fail_open_budget=FailOpenBudget(BUDGET, 900.0),
        )
        journal = self.scene.books.journal
        resolve = journal.resolve

        def noting(key: str) -> None:
            self.resolved += [entry for entry in journal.entries() if entry.charge.key == key]
            resolve(key)

        journal.resolve = noting  # type: ignore[method-assign]
        self.reporter = Reporter(
            books=self.scene.books,
            quotas=self.scene.platform,
            clock=self.scene.clock,
            observer=self.scene.observer,
            settlements=self.scene.settlements,
        )

    @rule(
        platform=st.sampled_from(["honest", "unreachable", "timeout", "losing", "disguised"]),
    )
    def platform_changes(self, platform: str) -> None:
        store = self.scene.store
        self.scene.platform.now = {
            "honest": self.scene.honest,
            "unreachable": UnreachableQuotas(FailureKind.CONNECT),
            "timeout": UnreachableQuotas(FailureKind.TIMEOUT),
            "losing": AnswerLosingQuotas(store),
            "disguised": DisguisedQuotas(store),
        }[platform]

    def _prepare(self, org: str, amount: int) -> None:
        self.scene.identities.who = identity(org=org, snapshot=quota(LIMIT, limit=LIMIT))
        meter = replace(self.scene.meter, amount=ConstantAmount(amount))
        self.scene.policies.current = policy_of_pages({"/chat": route("chat", meter)})

    @rule(org=ORGS, amount=st.integers(1, 5), request_id=st.sampled_from([None, "x", "y"]))
    def call(self, org: str, amount: int, request_id: str | None) -> None:
        self._prepare(org, amount)
        decision = self.run(self.scene.decide(request_id=request_id))
        if decision.permit is not None:
            self.running.append(decision)

    @rule(org=ORGS, amount=st.integers(1, 5), loses=st.booleans())
    def cancelled_call(self, org: str, amount: int, *, loses: bool) -> None:
        self._prepare(org, amount)
        scene = self.scene

        async def cancel() -> None:
            before = scene.platform.now
            held = (HeldThenLosingQuotas if loses else HeldQuotas)(scene.store)
            scene.platform.now = held
            task = asyncio.ensure_future(scene.decide(request_id="cancelled"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            done = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(done, Decision) and done.permit is not None:
                self.running.append(done)  # decided before it could be cancelled
            held.release.set()
            for _ in range(5):
                await asyncio.sleep(0)
            scene.platform.now = before

        self.run(cancel())

    @precondition(lambda self: self.running)
    @rule(data=st.data(), execution=st.sampled_from(AttemptEnd))
    def settle(self, data: st.DataObject, execution: AttemptEnd) -> None:
        at = data.draw(st.integers(0, len(self.running) - 1))
        self._settle(self.running.pop(at), execution)

    def _settle(self, decision: Decision, execution: AttemptEnd) -> None:
        assert decision.permit is not None
        assert decision.charge is not None
        self.scene.engine.attempt_ended(decision.permit, execution)
        refund = decision.permit.refund
        refunded = (execution is AttemptEnd.UNREACHED and refund is not Refund.NEVER) or (
            execution is AttemptEnd.FAILED and refund is Refund.FAILED
        )
        if not refunded:
            self.executed += decision.charge.amount

    @rule()
    def report(self) -> None:
        self.run(self.reporter.report())

    @precondition(lambda self: self.turned < 400)
    @rule(seconds=st.sampled_from([0.01, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.turned += seconds
        self.scene.clock.advance(seconds)

    @invariant()
    def the_platform_never_counts_beyond_the_limit(self) -> None:
        if hasattr(self, "scene"):
            assert all(used <= LIMIT for used in self.scene.store.used.values())

    @invariant()
    def no_outage_lets_more_through_than_its_budget(self) -> None:
        if not hasattr(self, "scene"):
            return
        if self.scene.meter.on_platform_error is not OnPlatformError.FAIL_OPEN:
            return
        for org in ("org_a", "org_b"):
            spent = self.scene.books.outages.spent((org, RESOURCE), self.scene.clock.monotonic())
            assert spent.units <= BUDGET

    def teardown(self) -> None:
        try:
            if hasattr(self, "scene"):
                self.run(self._quiet_down())
        finally:
            self.runner.close()
            super().teardown()

    async def _quiet_down(self) -> None:
        scene = self.scene
        while self.running:
            self._settle(self.running.pop(), AttemptEnd.DONE)
        await scene.lessor.close()
        scene.platform.now = scene.honest
        assert await self.reporter.report()
        assert len(scene.books.journal) == 0
        assert scene.books.replays.in_flight == 0
        refused = sum(
            entry.charge.amount
            for entry in self.resolved
            if entry.purpose is Purpose.REPORT
            and isinstance(scene.store.answers.get(entry.charge.key), Refused)
        )
        in_hand = scene.books.credits.units(scene.clock.time())
        in_hand += scene.books.leases.held
        counted = sum(scene.store.used.values())
        assert counted + refused == self.executed + in_hand
        assert scene.observer.of("journal_dropped") == []


TestBooks = pytest.mark.timeout(0 if OWN_WISH else 300)(Books.TestCase)
TestBooks.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck) if OWN_WISH else (),
)
