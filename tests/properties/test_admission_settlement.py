"""Settled calls under any order of calls, answers, aborts, faults of the platform and reports.

To the unit: what the platform counted, and what it refused of what was used, is what the answers
cost, exactly and with what is carried, and what is in hand. At rest nothing is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sidecar.admission.cost import cost_of
from sidecar.admission.journal_entries import Entry, JournalStore, Purpose
from sidecar.admission.reporter import Reporter
from sidecar.domain.choices import Accuracy, OnPlatformError, Refund
from sidecar.domain.model import AttemptEnd, Decision, Headers
from sidecar.domain.quota import FailureKind, Refused
from sidecar.domain.usage import (
    Estimate,
    HoldRule,
    MissingCause,
    OnMissing,
    OnOverrun,
    Settled,
    Tokens,
    Usage,
    UsageRule,
)
from sidecar.policy.amounts import ConstantAmount
from sidecar.policy.compiled import FailOpenBudget
from tests.fakes.admission import KnownBody, policy_of_pages
from tests.fakes.quotas import (
    AnswerLosingQuotas,
    DisguisedQuotas,
    HeldQuotas,
    HeldThenLosingQuotas,
    UnreachableQuotas,
)
from tests.unit.admission import usage_rules
from tests.unit.admission.scene import Scene, identity, quota, route
from tests.unit.admission.settling import LastingStore

T = TypeVar("T")

ORGS = st.sampled_from(["org_a", "org_b"])
LIMIT = 150
USAGES = st.builds(
    Usage,
    st.none() | st.builds(Tokens, st.integers(0, 40), output=st.integers(0, 160)),
    st.none(),
    st.none(),
    st.integers(0, 200),
    st.none() | st.sampled_from(MissingCause),
).filter(lambda usage: usage.tokens is not None or usage.missing is not None)
"""As readers give them: where nothing was named, there is a cause."""


class _Texts:
    def short(self, rule: UsageRule, body: bytes) -> Estimate | None:
        return None

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        yield
        return _estimate_of(body)


def _estimate_of(body: bytes) -> Estimate:
    text, output = body.split()
    return Estimate(int(text), int(output), None)


class Settlement(RuleBasedStateMachine):
    """One sidecar, two orgs, a platform that changes its mind."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.running: list[Decision] = []
        self.cost: dict[str, Fraction] = {}
        self.resolved: list[tuple[Entry, int]] = []  # with what of it was used

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Run one step of the machine on its own loop."""
        return self.runner.run(awaitable)

    @initialize(
        accuracy=st.sampled_from(Accuracy),
        on_error=st.sampled_from(OnPlatformError),
        refund=st.sampled_from(Refund),
        missing=st.sampled_from(OnMissing),
        overrun=st.sampled_from(OnOverrun),
        hold=st.sampled_from([None, HoldRule((("max_tokens",),), 10, 300)]),
        per=st.sampled_from([Decimal(1), Decimal(3), Decimal("7.5")]),
        journal=st.sampled_from([None, LastingStore()]),
    )
    def begin(  # noqa: PLR0917 - what a policy may say
        self,
        accuracy: Accuracy,
        on_error: OnPlatformError,
        refund: Refund,
        missing: OnMissing,
        overrun: OnOverrun,
        hold: HoldRule | None,
        per: Decimal,
        journal: JournalStore | None,
    ) -> None:
        self.scene = Scene(
            journal=journal,
            limit=LIMIT,
            leases=True,
            estimates=_Texts(),
            accuracy=accuracy,
            on_platform_error=on_error,
            refund=refund,
            fail_open_budget=FailOpenBudget(60, 900.0),
            usage=usage_rules.rule(missing=missing, overrun=overrun, hold=hold, per=per),
        )
        book = self.scene.books.journal
        resolve = book.resolve

        def noting(key: str) -> None:
            entry = next(entry for entry in book.entries() if entry.charge.key == key)
            self.resolved.append((entry, entry.charge.amount - entry.surplus))
            resolve(key)

        book.resolve = noting  # type: ignore[method-assign]
        self.reporter = Reporter(
            books=self.scene.books,
            quotas=self.scene.platform,
            clock=self.scene.clock,
            observer=self.scene.observer,
            settlements=self.scene.settlements,
        )

    @rule(platform=st.sampled_from(["honest", "unreachable", "timeout", "losing", "disguised"]))
    def platform_changes(self, platform: str) -> None:
        store = self.scene.store
        self.scene.platform.now = {
            "honest": self.scene.honest,
            "unreachable": UnreachableQuotas(FailureKind.CONNECT),
            "timeout": UnreachableQuotas(FailureKind.TIMEOUT),
            "losing": AnswerLosingQuotas(store),
            "disguised": DisguisedQuotas(store),
        }[platform]

    def _prepare(self, org: str, deposit: int) -> None:
        self.scene.identities.who = identity(org=org, snapshot=quota(LIMIT, limit=LIMIT))
        meter = replace(self.scene.meter, amount=ConstantAmount(deposit))
        self.scene.policies.current = policy_of_pages({"/chat": route("chat", meter)})

    async def _decide(self, text: int, output: int) -> Decision:
        return await self.scene.decide(body=KnownBody(b"%d %d" % (text, output)))

    @rule(org=ORGS, deposit=st.integers(1, 9), text=st.integers(0, 90), output=st.integers(0, 90))
    def call(self, org: str, deposit: int, text: int, output: int) -> None:
        self._prepare(org, deposit)
        decision = self.run(self._decide(text, output))
        if decision.permit is not None:
            self.running.append(decision)

    @rule(org=ORGS, deposit=st.integers(1, 9), loses=st.booleans())
    def cancelled_call(self, org: str, deposit: int, *, loses: bool) -> None:
        self._prepare(org, deposit)
        scene = self.scene

        async def cancel() -> None:
            before = scene.platform.now
            held = (HeldThenLosingQuotas if loses else HeldQuotas)(scene.store)
            scene.platform.now = held
            task = asyncio.ensure_future(self._decide(40, 20))
            for _ in range(4):
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
    @rule(data=st.data(), end=st.sampled_from(AttemptEnd), usage=st.none() | USAGES)
    def ends(self, data: st.DataObject, end: AttemptEnd, usage: Usage | None) -> None:
        at = data.draw(st.integers(0, len(self.running) - 1))
        self.run(self._end(self.running.pop(at), end, usage))

    async def _end(self, decision: Decision, end: AttemptEnd, usage: Usage | None) -> None:
        permit, charge = decision.permit, decision.charge
        assert permit is not None
        assert charge is not None
        assert permit.terms is not None
        self.scene.engine.attempt_ended(permit, end, usage)
        await self.scene.settler.close()
        refunded = (end is AttemptEnd.UNREACHED and permit.refund is not Refund.NEVER) or (
            end is AttemptEnd.FAILED and permit.refund is Refund.FAILED
        )
        units = Fraction(0 if refunded else charge.amount)
        if end is AttemptEnd.DONE and usage is not None:
            terms = permit.terms
            if terms.estimate.unread:
                terms = replace(terms, estimate=_estimate_of(terms.estimate.unread))
            units = Fraction(*cost_of(terms, usage, charge.amount))
        self.cost[charge.org_id] = self.cost.get(charge.org_id, Fraction(0)) + units

    @rule()
    def report(self) -> None:
        self.run(self.reporter.report())

    @rule(seconds=st.sampled_from([0.01, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.scene.clock.advance(seconds)

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
            await self._end(self.running.pop(), AttemptEnd.DONE, None)
        await scene.lessor.close()
        scene.platform.now = scene.honest
        for _ in range(4):  # what was refused is asked for again, for less
            assert await self.reporter.report()
        assert len(scene.books.journal) == 0
        assert len(scene.settlements.holds) == 0
        assert list(scene.settlements.holds.by_resource()) == []
        refused = sum(
            units
            for entry, units in self.resolved
            if entry.purpose is Purpose.REPORT
            and isinstance(scene.store.answers.get(entry.charge.key), Refused)
        )
        overrun = sum(
            units
            for _, _, outcome, units in scene.observer.of("units_settled")
            if outcome in {Settled.OVERRUN, Settled.FORGIVEN}
        )
        in_hand = scene.books.credits.units(scene.clock.time())
        in_hand += scene.books.leases.held
        counted = sum(scene.store.used.values())
        cost = sum(units.numerator // units.denominator for units in self.cost.values())
        assert counted + refused + overrun == cost + in_hand
        assert scene.observer.of("journal_dropped") == []


TestSettlement = Settlement.TestCase
TestSettlement.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
