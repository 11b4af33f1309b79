"""What the engine needs from the outside, as protocols: adapters satisfy them, fakes break them.

Kept beside the model so that adapters can be typed against a port without importing the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol

from sidecar.domain.choices import OnReplay
from sidecar.domain.credentials import IdentityFailure, IdentitySource
from sidecar.domain.holds import Shared, Standing
from sidecar.domain.model import Charge, Decision, Headers, Identity, Loss, Reason, Slot, Unreported
from sidecar.domain.quota import Failed, FailureKind, Outcome, Quota
from sidecar.domain.usage import Estimate, MissingCause, Settled, Tokens, UsageRule


class Clock(Protocol):
    """Time, so that tests can turn it by hand."""

    def monotonic(self) -> float:
        """Seconds that never go back: for waits, budgets and caches."""

    def time(self) -> float:
        """Unix seconds: for tokens and quota periods."""


class Identities(Protocol):
    """Who is calling."""

    async def identify(
        self, headers: Headers, sources: Sequence[IdentitySource], *, wait: bool
    ) -> Identity | IdentityFailure:
        """Verify the first source that is present.

        With `wait` false nothing is fetched: what the cached keys cannot decide is a failure.
        """


class Quotas(Protocol):
    """The platform's consume call."""

    async def consume(
        self, charge: Charge, *, timeout: float, orphaned: Callable[[Outcome], None]
    ) -> Outcome:
        """Consume once, within `timeout` seconds in all, any retry under the same key.

        Never raises for what the platform does: that is a `Failed`. When the caller is cancelled
        the call to the platform goes on, and `orphaned` gets its outcome.
        """


class Attempts(Protocol):
    """How often a trusted request ID was charged before, counted over every replica."""

    @property
    def problem(self) -> str:
        """Why attempts cannot be counted over all replicas now; empty while they are."""

    async def next(self, scope: bytes) -> int | None:
        """Take the next attempt number of `scope`, from 0, counted over every replica; None if not.

        Never raises for what the store does, and never takes longer than its own short timeout.
        """


class HoldSource(Protocol):
    """What one process holds, and knows, of an org's resource (its slot)."""

    def slots(self) -> Iterable[Slot]:
        """Go through the slots of which anything is held."""

    def standing(self, slot: Slot) -> Standing:
        """Say how a slot stands in this process now."""

    def asked(self, call: str, units: int) -> None:
        """Take in that other replicas count so many units of a call that is being decided."""


class SharedHolds(Protocol):
    """The holds of all replicas together."""

    @property
    def problem(self) -> str:
        """Why holds are not shared now; empty while they are."""

    def begin(self, source: HoldSource) -> None:
        """Share what `source` holds from now on."""

    def changed(self, slot: Slot) -> None:
        """Show the others how a slot stands, soon."""

    def others(self, slot: Slot) -> int:
        """Return the units that other replicas hold, as last seen; 0 once that is long ago."""

    async def take(self, slot: Slot, call: str, *, deposit: int, hold: int) -> Shared | None:
        """Take a call's hold, in one step over all replicas, if it fits; None without an answer.

        Never raises for what the store does, and never takes longer than its own short timeout.
        """


class BodySource(Protocol):
    """The body of a call, for an amount that is read from it."""

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Return the whole body; None when it is longer than `limit` bytes.

        Memory for it, and for a `decoder` of so many bytes, is reserved for `holder`, an org.
        What was read is kept for forwarding either way: in shadow, too long a body passes.
        Raises NoRoomError where there is no memory for it.
        """


class Estimates(Protocol):
    """What a call may cost, as its body says."""

    def short(self, rule: UsageRule, body: bytes) -> Estimate | None:
        """Read a short body at once; None for one that is to be read in slices.

        The body is not compressed.
        """

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        """Read a body in slices, with a yield between two. What cannot be read says nothing.

        `limit` bounds a compressed body once it is decoded, in bytes.
        """


class RequestObserver(Protocol):
    """What a frontend reports of a request."""

    def request_finished(
        self, decision: Decision, code: int, seconds: float, added: float | None = None
    ) -> None:
        """One answer was given, `seconds` after its head was read; `code` 0 if none was sent.

        `added` of them had gone by when the upstream was called: None where it was not.
        """

    def connection_closed(self, cause: str) -> None:
        """A client's connection was ended by a deadline or a bound; `cause` from a closed list."""

    def upstream_failed(self, kind: str, detail: str) -> None:
        """The upstream could not be had or broke its protocol; `detail` is for the log."""


class AdmissionObserver(Protocol):
    """What the engine and its books report."""

    def identity_failed(self, kind: IdentityFailure) -> None:
        """A metered call came without a verified identity."""

    def units_admitted(self, resource: str, route: str, reason: Reason, amount: int) -> None:
        """Units were admitted."""

    def platform_degraded(self, kind: FailureKind) -> None:
        """A call was decided without a valid answer of the platform."""

    def admitted_unconfirmed(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        """A call passes without a valid answer; `first` of this org's resource in its outage."""

    def replay_seen(self, action: OnReplay) -> None:
        """A request ID was seen again, and charged or rejected."""

    def quota_seen(self, org_id: str, quota: Quota) -> None:
        """A valid answer of the platform gave an org's quota."""

    def journal_replayed(self, outcome: str, units: int) -> None:
        """Units of the journal were reported: counted, refused, or still unknown."""

    def journal_dropped(self, units: int, cause: Unreported) -> None:
        """Units were given up: used, and never reported."""

    def credits_lost(self, units: int, cause: Loss) -> None:
        """Units that were paid and not used were given up."""

    def lease_requested(self, outcome: str) -> None:
        """Units were asked for ahead of their calls."""

    def usage_read(self, route: str, tokens: Tokens) -> None:
        """An answer named tokens."""

    def usage_missing(self, route: str, cause: MissingCause) -> None:
        """An answer named no usage, or not all of it."""

    def units_settled(self, resource: str, route: str, outcome: Settled, units: int) -> None:
        """Units of a call's cost beyond its deposit, or of the deposit beyond it, were settled."""


class PlatformObserver(Protocol):
    """What the consume call reports."""

    def consume_finished(self, outcome: str, seconds: float) -> None:
        """One request to the platform ended; `outcome` is granted, refused or a FailureKind."""

    def consume_failed(self, failed: Failed) -> None:
        """A request to the platform failed in a way that has a `cause`."""


class IdentityObserver(Protocol):
    """What the key set reports."""

    def keys_refreshed(self, outcome: str, keys: int, detail: str = "") -> None:
        """A fetch of the key set ended; `keys` is how many are trusted now.

        `detail`: what was wrong, or which keys were ignored though the fetch went well.
        """


class PolicyObserver(Protocol):
    """What the policy store reports."""

    def policy_reloaded(self, outcome: str) -> None:
        """A reload of the policy file ended: loaded, unchanged or rejected."""


class EventObserver(Protocol):
    """What the receiver of webhooks reports."""

    def event_received(self, outcome: str) -> None:
        """A delivery was answered; `outcome` from a closed list."""


class NoticeObserver(Protocol):
    """What the publisher of quota notices reports."""

    def notice_ended(self, outcome: str) -> None:
        """A notice was published, refused, failed or dropped."""
