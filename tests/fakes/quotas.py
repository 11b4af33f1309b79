"""Platforms that count, and platforms that misbehave: each is a `Quotas` with one fault."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from sidecar.domain.model import Charge
from sidecar.domain.ports import Quotas
from sidecar.domain.quota import UNLIMITED, Failed, FailureKind, Granted, Outcome, Quota, Refused

Slot = tuple[str, str]
RESET_AT = 1_760_000_000.0 + 20 * 86_400


class QuotaStore:
    """The truth behind the fakes: counts atomically, and answers a key again as it did first."""

    def __init__(self, limits: dict[Slot, int] | None = None, default: int = 1_000) -> None:
        self.limits = dict(limits or {})
        self.default = default
        self.used: Counter[Slot] = Counter()
        self.answers: dict[str, Outcome] = {}
        self.counted: dict[str, int] = {}
        self.reset_at = RESET_AT

    def count(self, charge: Charge) -> Outcome:
        """Consume once per key; a refused consume counts nothing."""
        if charge.key in self.answers:
            return self.answers[charge.key]
        slot = (charge.org_id, charge.resource)
        limit = self.limits.get(slot, self.default)
        fits = limit == UNLIMITED or self.used[slot] + charge.amount <= limit
        if fits:
            self.used[slot] += charge.amount
            self.counted[charge.key] = charge.amount
        quota = self.quota(slot)
        self.answers[charge.key] = Granted(quota) if fits else Refused(quota)
        return self.answers[charge.key]

    def quota(self, slot: Slot) -> Quota:
        """Say how the slot stands."""
        limit = self.limits.get(slot, self.default)
        left = UNLIMITED if limit == UNLIMITED else limit - self.used[slot]
        return Quota(slot[1], limit, self.used[slot], left, "month", self.reset_at)


class HonestQuotas:
    """Counts and answers; a cancelled caller's outcome goes to `orphaned`."""

    def __init__(self, store: QuotaStore) -> None:
        self.store = store
        self.asked: list[Charge] = []

    async def consume(
        self, charge: Charge, *, timeout: float, orphaned: Callable[[Outcome], None]
    ) -> Outcome:
        self.asked.append(charge)
        answer = asyncio.ensure_future(self._answer(charge))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(lambda done: orphaned(done.result()))
            raise

    async def _answer(self, charge: Charge) -> Outcome:
        await asyncio.sleep(0)
        return self.store.count(charge)


class HeldQuotas(HonestQuotas):
    """Counts, but answers nobody until `release` is set."""

    def __init__(self, store: QuotaStore) -> None:
        super().__init__(store)
        self.release = asyncio.Event()

    async def _answer(self, charge: Charge) -> Outcome:
        await self.release.wait()
        return self.store.count(charge)


class HeldThenLosingQuotas(HeldQuotas):
    """Counts once `release` is set, and loses the answer."""

    async def _answer(self, charge: Charge) -> Outcome:
        await super()._answer(charge)
        return Failed(FailureKind.TIMEOUT)


class UnreachableQuotas(HonestQuotas):
    """Never counts; fails with `kind`."""

    def __init__(self, kind: FailureKind = FailureKind.CONNECT) -> None:
        super().__init__(QuotaStore())
        self.kind = kind

    async def _answer(self, charge: Charge) -> Outcome:
        return Failed(self.kind)


class AnswerLosingQuotas(HonestQuotas):
    """Counts, and then fails with `kind`: the caller cannot know."""

    def __init__(self, store: QuotaStore, kind: FailureKind = FailureKind.TIMEOUT) -> None:
        super().__init__(store)
        self.kind = kind

    async def _answer(self, charge: Charge) -> Outcome:
        self.store.count(charge)
        return Failed(self.kind)


class DisguisedQuotas(HonestQuotas):
    """Its store is down: allows everything as if unlimited, and counts nothing."""

    async def _answer(self, charge: Charge) -> Outcome:
        return Granted(
            Quota(charge.resource, UNLIMITED, 0, UNLIMITED, "month", self.store.reset_at)
        )


class SwitchedQuotas:
    """Whichever platform is put in `now`."""

    def __init__(self, now: Quotas) -> None:
        self.now = now

    async def consume(
        self, charge: Charge, *, timeout: float, orphaned: Callable[[Outcome], None]
    ) -> Outcome:
        return await self.now.consume(charge, timeout=timeout, orphaned=orphaned)
