"""The ledger: what the platform last said of each org, whom it refused, and whether to believe it.

Only trusted answers enter it. The platform says `limit:-1` both for "unlimited" and for "my store
is down" (contract, Quotas); `_believed` separates the two (conformance 36).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sidecar.admission.moment import Moment, good_until
from sidecar.domain.model import Charge, Identity, Slot
from sidecar.domain.quota import Failed, FailureKind, Outcome, Quota, Refused

CAPACITY: Final = 10_000
"""Orgs known; the least recently used is forgotten first. Nothing owed is kept here."""

DENIAL_SECONDS: Final = 5.0
"""How long a refused org is not asked about again: long enough that a client that loops costs the
platform nothing, short enough that a raised limit is felt at once."""

LATE_SECONDS: Final = 2.0
"""How long after an event an answer may be older than it: asked for before it, or clocks differ.
Such an answer decides its own call, and what the event made stale is not learned from it again."""

DISGUISE_SECONDS: Final = 600.0
"""How long a sudden `limit:-1` is taken for the platform's store being down (conformance 36)."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What something other than the platform's answer says of an org's limit, and as of when."""

    limited: bool
    as_of: float

    @classmethod
    def of(cls, identity: Identity, resource: str, now: float) -> Witness | None:
        """Read a token's snapshot; one that does not say when it was issued is as old as can be."""
        quota = identity.quotas.get(resource)
        if quota is None:
            return None
        issued = 0.0 if identity.issued_at is None else min(identity.issued_at, now)
        return cls(not quota.unlimited, issued)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What an answer, or a token's snapshot, leaves of a quota; `units` None for unlimited.

    `running`: its period has not ended since, as far as our clock can say. Where it has, `units` is
    the whole limit.
    """

    units: int | None
    limit: int
    reset_at: float
    running: bool


@dataclass(frozen=True, slots=True)
class KnownQuota:
    """One org's resource as last seen, for the admin's view. `seen_at` in Unix seconds."""

    org_id: str
    quota: Quota
    seen_at: float


@dataclass(frozen=True, slots=True)
class _Denial:
    amount: int
    refused: Refused
    until: float  # monotonic
    at: float  # Unix


class _Account:
    """One org's resource. Times in Unix seconds, `disguised_since` monotonic; -inf is never."""

    __slots__ = ("disguised_since", "limited_at", "quota", "seen_at", "unlimited_at")

    def __init__(self) -> None:
        self.quota: Quota | None = None
        self.seen_at = 0.0
        self.limited_at = -math.inf
        self.unlimited_at = -math.inf
        self.disguised_since: float | None = None


class _Org:
    __slots__ = ("accounts", "event_at", "event_times")

    def __init__(self) -> None:
        self.accounts: dict[str, _Account] = {}
        self.event_at = -math.inf  # Unix: the last entitlement event
        self.event_times: dict[str | None, float] = {}  # Unix: of a resource; None: of all

    def late(self, resource: str, now: float) -> bool:
        """Whether an answer that comes now may be older than an event."""
        at = (self.event_times.get(None, -math.inf), self.event_times.get(resource, -math.inf))
        return any(0.0 <= now - each < LATE_SECONDS for each in at)


class Ledger:
    """What is known by org and resource. Changes only synchronously.

    `denials` are the refusals of a moment ago: only where there is one is `denial` worth asking.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._orgs: OrderedDict[str, _Org] = OrderedDict()
        self.denials: dict[Slot, _Denial] = {}  # of orgs that are known

    def __len__(self) -> int:
        return len(self._orgs)

    def learn(
        self, charge: Charge, outcome: Outcome, now: Moment, witness: Witness | None
    ) -> Outcome:
        """Take in an answer; return it, or `Failed(DISGUISED)` for one not to be believed."""
        if isinstance(outcome, Failed):
            return outcome
        quota = outcome.quota
        org = self._orgs.get(charge.org_id)
        if org is None:
            org = self._org(charge.org_id)
        else:
            self._orgs.move_to_end(charge.org_id)
        account = org.accounts.get(charge.resource)
        if account is None:
            account = org.accounts[charge.resource] = _Account()
        unlimited = quota.unlimited
        if unlimited and not self._believed(charge.org_id, account, now, witness):
            if account.disguised_since is None:
                account.disguised_since = now.monotonic
            return Failed(FailureKind.DISGUISED)
        account.quota = quota
        account.seen_at = now.unix
        account.disguised_since = None
        if unlimited:
            account.unlimited_at = now.unix
        else:
            account.limited_at = now.unix
        if isinstance(outcome, Refused):
            self._deny(org, charge, outcome, now)
        elif self.denials:
            denial = self.denials.get(charge.slot)
            if denial is not None and _affords(quota, denial.amount):
                del self.denials[charge.slot]
        return outcome

    def _deny(self, org: _Org, charge: Charge, refused: Refused, now: Moment) -> None:
        """Remember a refusal, unless an event may have made it stale."""
        if not org.late(charge.resource, now.unix):
            seconds = min(DENIAL_SECONDS, good_until(refused.quota, now.unix) - now.unix)
            self.denials[charge.slot] = _Denial(
                charge.amount, refused, now.monotonic + seconds, now.unix
            )

    def denial(self, slot: Slot, amount: int, identity: Identity, now: Moment) -> Refused | None:
        """Return how `amount` was refused a moment ago; None: ask the platform.

        A smaller amount than the one refused, that fits what was said to remain, is asked about.
        A token issued since the refusal whose snapshot affords the call makes it be asked again.
        """
        denial = self.denials.get(slot)
        if denial is None:
            return None
        newer = (identity.issued_at or 0.0) > denial.at
        snapshot = identity.quotas.get(slot[1]) if newer else None
        afforded = snapshot is not None and _affords(snapshot, amount)
        if afforded or now.monotonic >= denial.until:
            del self.denials[slot]
            return None
        again = amount >= denial.amount or amount > denial.refused.quota.remaining
        return denial.refused if again else None

    def last_known(self, slot: Slot, identity: Identity, now: float) -> Remaining | None:
        """Say what was left by the platform's last answer or the token's snapshot, the later one.

        What was let through since is not taken off.
        """
        answer = self.answer(slot)
        snapshot, issued = identity.quotas.get(slot[1]), identity.issued_at or 0.0
        if snapshot is None or (answer is not None and not answer.seen_at < issued <= now):
            return None if answer is None else _remaining(answer.quota, answer.seen_at, now)
        return _remaining(snapshot, issued, now)

    def remaining(self, slot: Slot, now: float) -> Remaining | None:
        """Say what the last trusted answer leaves, whatever its age."""
        answer = self.answer(slot)
        return None if answer is None else _remaining(answer.quota, answer.seen_at, now)

    def quota(self, slot: Slot) -> Quota | None:
        """Return the last trusted answer, whatever its age."""
        org = self._orgs.get(slot[0])
        account = None if org is None else org.accounts.get(slot[1])
        return None if account is None else account.quota

    def answer(self, slot: Slot) -> KnownQuota | None:
        """Return the last trusted answer, and when it came."""
        org = self._orgs.get(slot[0])
        account = None if org is None else org.accounts.get(slot[1])
        if account is None or account.quota is None:
            return None
        return KnownQuota(slot[0], account.quota, account.seen_at)

    def limited(self, slot: Slot) -> bool:
        """Say whether the last trusted answer named a limit."""
        quota = self.quota(slot)
        return quota is not None and not quota.unlimited

    def forget_denial(self, org_id: str, now: float, resource: str | None = None) -> None:
        """Ask about this org again, whatever was refused until `now` (Unix seconds).

        Of one resource, or of all. A refusal that is still on its way is not remembered either.
        """
        org = self._org(org_id)
        org.event_times[resource] = now
        for name in org.accounts:
            if resource in {None, name}:
                self.denials.pop((org_id, name), None)

    def note_entitlement_event(self, org_id: str, made_at: float) -> None:
        """Let an event outweigh the limits seen before it was made, at `made_at` (Unix seconds).

        A limit seen later counts against it, so that an event sent again proves nothing new.
        """
        org = self._org(org_id)
        org.event_at = max(made_at, org.event_at)

    def known(self, limit: int) -> Iterator[KnownQuota]:
        """Go through the `limit` orgs used last, latest first."""
        for org_id in list(reversed(self._orgs))[:limit]:
            for account in self._orgs[org_id].accounts.values():
                if account.quota is not None:
                    yield KnownQuota(org_id, account.quota, account.seen_at)

    def _believed(
        self, org_id: str, account: _Account, now: Moment, witness: Witness | None
    ) -> bool:
        """Whether "unlimited" is news later than the last word of a limit, or has lasted."""
        event_at = self._orgs[org_id].event_at
        limited, unlimited = account.limited_at, max(account.unlimited_at, event_at)
        if limited < event_at + LATE_SECONDS:  # this soon after the event it may be the old one
            limited = -math.inf
        if witness is not None and witness.limited:
            limited = max(limited, witness.as_of)
        elif witness is not None:
            unlimited = max(unlimited, witness.as_of)
        if limited == -math.inf or unlimited > limited:
            return True
        since = account.disguised_since
        return since is not None and now.monotonic - since >= DISGUISE_SECONDS

    def _org(self, org_id: str) -> _Org:
        """Return what is known of an org, which is now the one used last."""
        org = self._orgs.get(org_id)
        if org is None:
            org = self._orgs[org_id] = _Org()
            if len(self._orgs) > self._capacity:
                forgotten, accounts = self._orgs.popitem(last=False)
                for resource in accounts.accounts:
                    self.denials.pop((forgotten, resource), None)
        else:
            self._orgs.move_to_end(org_id)
        return org


def _remaining(quota: Quota, seen_at: float, now: float) -> Remaining:
    """Say what is left of a quota that was true at `seen_at`.

    A period that had ended by our clock even then may still run by the platform's: only the next
    answer can say that it has ended.
    """
    running = quota.reset_at > now or quota.reset_at <= seen_at
    if quota.unlimited:
        return Remaining(None, quota.limit, quota.reset_at, running)
    units = quota.remaining if running else quota.limit
    return Remaining(max(0, units), quota.limit, quota.reset_at, running)


def _affords(quota: Quota, amount: int) -> bool:
    return quota.unlimited or quota.remaining >= amount
