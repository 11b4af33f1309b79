"""Engines behind the data plane: each decides in one way, and remembers what it was told."""

from __future__ import annotations

import asyncio
from typing import Any

from sidecar.domain.choices import ErrorFormat, Refund
from sidecar.domain.cors import Cors
from sidecar.domain.model import AttemptEnd, Call, Charge, Decision, Identity, Permit, Reason
from sidecar.domain.ports import BodySource
from sidecar.domain.quota import Quota
from sidecar.domain.usage import Terms, Usage
from sidecar.proxy.realtime import ResponseCharges

ACME = Identity("org_acme", "user_1", "org_owner", "pro", frozenset(), {}, None, 4_000_000_000.0)
CHARGE = Charge("org_acme", "acme-notes", "ai_calls", 1, "key", private=True)
QUOTA = Quota("ai_calls", 25, 12, 13, "month", 4_000_000_000.0)


class AllowingEngine:
    """Allows everything, as within quota."""

    errors = ErrorFormat.PROBLEM
    cors: Cors | None = None

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.permits: list[Permit] = []
        self.settled: list[tuple[Permit, AttemptEnd]] = []
        self.usages: list[Usage | None] = []

    def meters(self, call: Call) -> bool:
        return True

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.calls.append(call)
        return self.allow(call)

    def attempt_ended(self, permit: Permit, end: AttemptEnd, usage: Usage | None = None) -> None:
        self.settled.append((permit, end))
        self.usages.append(usage)

    def priced_by_product(self, decision: Decision) -> Permit:
        """Return the permit as it is."""
        assert decision.permit is not None
        return decision.permit

    def realtime(self, decision: Decision) -> ResponseCharges:
        """Charge no response by itself: a test of realtime has an engine of its own."""
        raise NotImplementedError(decision.request_id)

    def allow(self, call: Call, reason: Reason = Reason.WITHIN_QUOTA) -> Decision:
        """Give a permit of its own to one call."""
        permit = Permit(call.request_id, "route", None, paid=False, refund=Refund.NEVER, claim=None)
        self.permits.append(permit)
        return Decision(reason, "route", call.request_id, permit, identity=ACME, quota=QUOTA)

    @property
    def executions(self) -> list[AttemptEnd]:
        """How the attempts ended, in the order in which they did."""
        return [execution for _, execution in self.settled]

    def settled_once(self) -> bool:
        """Say whether every permit was settled, and none of them twice."""
        return sorted(map(id, self.permits)) == sorted(id(permit) for permit, _ in self.settled)


class PartlyFreeEngine(AllowingEngine):
    """Meters everything but what is under `/free`."""

    def meters(self, call: Call) -> bool:
        return not call.path.startswith("/free")

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.calls.append(call)
        return self.allow(call, Reason.WITHIN_QUOTA if self.meters(call) else Reason.UNMETERED)


class RefusingEngine(AllowingEngine):
    """Refuses what is under `/deny` as over quota, and allows the rest."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.calls.append(call)
        return self.refuse(call) if call.path.startswith("/deny") else self.allow(call)

    def refuse(self, call: Call) -> Decision:
        """Say that the org is over its quota."""
        return Decision(
            Reason.OVER_QUOTA, "route", call.request_id, None, status=429, retry_after=3.0
        )


class MarkingEngine(AllowingEngine):
    """Fails open: allows, with a mark and without a quota."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.calls.append(call)
        permit = self.allow(call).permit
        return Decision(Reason.FAIL_OPEN, "route", call.request_id, permit, identity=ACME)


class ReadingEngine(RefusingEngine):
    """Reads the body for an amount, up to `limit` bytes, before it decides."""

    def __init__(self, limit: int = 1024) -> None:
        super().__init__()
        self.limit = limit
        self.read: list[bytes | None] = []

    async def decide(self, call: Call, body: BodySource) -> Decision:
        content = await body.read(self.limit)
        self.read.append(content)
        if content is None:
            return Decision(Reason.BAD_REQUEST, "route", call.request_id, None, status=413)
        return await super().decide(call, body)


class HeldEngine(RefusingEngine):
    """Decides nothing until `release` is set; counts those who went away meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self.asked = asyncio.Event()
        self.abandoned = 0

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.asked.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        return await super().decide(call, body)


class FaultyEngine(AllowingEngine):
    """Raises instead of deciding what is under `/fault`."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        if call.path.startswith("/fault"):
            raise RuntimeError("the engine is broken")
        return await super().decide(call, body)


class UnsettlingEngine(AllowingEngine):
    """Allows everything, and raises at every settlement."""

    def attempt_ended(self, permit: Permit, end: AttemptEnd, usage: Usage | None = None) -> None:
        super().attempt_ended(permit, end, usage)
        raise RuntimeError("the books are broken")


class SettlingEngine(AllowingEngine):
    """Reads each body, and settles each call by its answer."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self._terms = terms

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.calls.append(call)
        await body.read(1 << 20)
        permit = Permit(
            call.request_id, "route", CHARGE, paid=True, refund=Refund.NEVER, claim=None,
            terms=self._terms,
        )  # fmt: skip
        self.permits.append(permit)
        return Decision(Reason.WITHIN_QUOTA, "route", call.request_id, permit, identity=ACME)


class RememberingRequests:
    """`sidecar.domain.ports.RequestObserver` that keeps every word it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.why = ""

    def request_finished(
        self, decision: Decision, code: int, seconds: float, added: float | None = None
    ) -> None:
        if added is not None:
            assert 0.0 <= added <= seconds
            self.told.append(("forwarded", decision.route))
        self.told.append(("finished", decision.reason, code))

    def connection_closed(self, cause: str) -> None:
        self.told.append(("closed", cause))

    def upstream_failed(self, kind: str, detail: str) -> None:
        self.why = detail
        self.told.append(("upstream_failed", str(kind)))

    def of(self, verb: str) -> list[Any]:
        """What was told with one verb: the one word, or the tuple of them."""
        words = [told[1:] for told in self.told if told[0] == verb]
        return [each[0] if len(each) == 1 else each for each in words]
