"""The ledger: what the platform last said of each org, whom it refused, and whether to believe it.

Only trusted answers enter it. The platform says `limit:-1` both for "unlimited" and for "my store
is down" (contract, Quotas); `_believed` separates the two (conformance 36).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sidecar.admission.moment import Moment, Slot, good_until
from sidecar.domain.model import (
    Charge,
    Failed,
    FailureKind,
    Identity,
    Outcome,
    Quota,
    Refused,
)

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
    quota: Quota
    until: float  # monotonic
    at: float  # Unix


class _Account:
    """One org's resource. Times in Unix seconds, but for `disguised_since`."""

    __slots__ = ("disguised_since", "limited_at", "quota", "seen_at", "unlimited_at")

    def remaining(self, now: float) -> Remaining | None:
        """Say what the last trusted answer leaves."""
        quota = self.quota
        return None if quota is None else _remaining(quota, self.seen_at, now)

    def __init__(self) -> None:
        self.quota: Quota | None = None
        self.seen_at = 0.0
        self.limited_at: float | None = None
        self.unlimited_at: float | None = None
        self.disguised_since: float | None = None  # monotonic


class _Org:
    __slots__ = ("accounts", "event_at", "event_times")

    def __init__(self) -> None:
        self.accounts: dict[str, _Account] = {}
        self.event_at: float | None = None  # Unix: the last entitlement event
        self.event_times: dict[
            str | None, float
        ] = {}  # Unix: the last event of a resource, None: of all

    def late(self, resource: str, now: float) -> bool:
        """Whether an answer that comes now may be older than an event."""
        times = self.event_times
        return bool(times) and any(
            0.0 <= now - times[name] < LATE_SECONDS for name in (None, resource) if name in times
        )


class Ledger:
    """What is known by org and resource. Changes only synchronously.

    `denials` are the refusals of a moment ago: only where there is one is `denial` worth asking.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Know at most `capacity` orgs."""
        self._capacity = capacity
        self._orgs: OrderedDict[str, _Org] = OrderedDict()
        self.denials: dict[Slot, _Denial] = {}  # of orgs that are known

    def __len__(self) -> int:
        """Count the orgs known."""
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
            left = good_until(quota, now.unix) - now.unix
            if not org.late(charge.resource, now.unix):
                self.denials[charge.org_id, charge.resource] = _Denial(
                    charge.amount, quota, now.monotonic + min(DENIAL_SECONDS, left), now.unix
                )
        elif self.denials:
            self._end_denial((charge.org_id, charge.resource), quota)
        return outcome

    def _end_denial(self, slot: Slot, quota: Quota) -> None:
        """Forget a refusal where a later answer affords what was refused."""
        denial = self.denials.get(slot)
        if denial is not None and (quota.unlimited or quota.remaining >= denial.amount):
            del self.denials[slot]

    def denial(
        self, org_id: str, resource: str, amount: int, identity: Identity, now: Moment
    ) -> Quota | None:
        """Return the quota under which `amount` was refused a moment ago; None: ask the platform.

        A smaller amount than the one refused, that fits what was said to remain, is asked about.
        A token issued since the refusal whose snapshot affords the call makes it be asked again.
        """
        denial = self.denials.get((org_id, resource))
        if denial is None:
            return None
        if now.monotonic >= denial.until or _affords_since(identity, resource, amount, denial.at):
            del self.denials[org_id, resource]
            return None
        refused = amount >= denial.amount or amount > denial.quota.remaining
        return denial.quota if refused else None

    def last_known(
        self, org_id: str, resource: str, identity: Identity, now: float
    ) -> Remaining | None:
        """Say what was left by the platform's last answer or the token's snapshot, the later one.

        What was let through since is not taken off.
        """
        account = self._known(org_id, resource)
        answered = None if account is None else account.remaining(now)
        snapshot = identity.quotas.get(resource)
        issued = identity.issued_at
        if snapshot is None:
            return answered
        if account is not None and answered is not None:
            newer = issued is not None and account.seen_at < issued <= now
            if not newer:
                return answered
        return _remaining(snapshot, 0.0 if issued is None else issued, now)

    def remaining(self, org_id: str, resource: str, now: float) -> Remaining | None:
        """Say what the last trusted answer leaves, whatever its age."""
        account = self._known(org_id, resource)
        return None if account is None else account.remaining(now)

    def quota(self, org_id: str, resource: str) -> Quota | None:
        """Return the last trusted answer, whatever its age."""
        account = self._known(org_id, resource)
        return None if account is None else account.quota

    def answer(self, org_id: str, resource: str) -> KnownQuota | None:
        """Return the last trusted answer, and when it came."""
        account = self._known(org_id, resource)
        if account is None or account.quota is None:
            return None
        return KnownQuota(org_id, account.quota, account.seen_at)

    def limited(self, org_id: str, resource: str) -> bool:
        """Say whether the last trusted answer named a limit."""
        quota = self.quota(org_id, resource)
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
        org.event_at = made_at if org.event_at is None else max(made_at, org.event_at)

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
        limited = [account.limited_at]
        unlimited = [account.unlimited_at]
        event_at = self._orgs[org_id].event_at
        if event_at is not None:
            unlimited.append(event_at)
            # A limit seen this soon after the event may be the old one.
            if account.limited_at is not None and account.limited_at - event_at < LATE_SECONDS:
                limited = []
        if witness is not None:
            (limited if witness.limited else unlimited).append(witness.as_of)
        last_limit = max((at for at in limited if at is not None), default=None)
        if last_limit is None:
            return True
        if any(at is not None and at > last_limit for at in unlimited):
            return True
        since = account.disguised_since
        return since is not None and now.monotonic - since >= DISGUISE_SECONDS

    def _known(self, org_id: str, resource: str) -> _Account | None:
        org = self._orgs.get(org_id)
        return None if org is None else org.accounts.get(resource)

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


def _affords_since(identity: Identity, resource: str, amount: int, refused_at: float) -> bool:
    if identity.issued_at is None or identity.issued_at <= refused_at:
        return False
    snapshot = identity.quotas.get(resource)
    return snapshot is not None and (snapshot.unlimited or snapshot.remaining >= amount)
