"""An observer that remembers, callers that are known in advance, and a policy of one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.domain.choices import Action, ErrorFormat, OnReplay
from sidecar.domain.credentials import IdentityFailure, IdentitySource
from sidecar.domain.model import Charge, Headers, Identity, Loss, Reason, Unreported
from sidecar.domain.quota import FailureKind, Quota
from sidecar.domain.usage import MissingCause, Settled, Tokens
from sidecar.policy.compiled import Policy, Route
from sidecar.policy.patterns import parse_pattern
from sidecar.policy.routing import Match


class RememberingObserver:
    """`sidecar.domain.ports.AdmissionObserver` that keeps every word it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def of(self, verb: str) -> list[tuple[Any, ...]]:
        """What was told with one verb."""
        return [tuple(words) for name, *words in self.told if name == verb]

    def identity_failed(self, kind: IdentityFailure) -> None:
        self.told.append(("identity_failed", kind))

    def units_admitted(self, resource: str, route: str, reason: Reason, amount: int) -> None:
        self.told.append(("units_admitted", resource, route, reason, amount))

    def platform_degraded(self, kind: FailureKind) -> None:
        self.told.append(("platform_degraded", kind))

    def admitted_unconfirmed(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        self.told.append(("admitted_unconfirmed", charge.org_id, charge.resource, kind, first))

    def replay_seen(self, action: OnReplay) -> None:
        self.told.append(("replay_seen", action))

    def quota_seen(self, org_id: str, quota: Quota) -> None:
        self.told.append(("quota_seen", org_id, quota))

    def journal_replayed(self, outcome: str, units: int) -> None:
        self.told.append(("journal_replayed", outcome, units))

    def journal_dropped(self, units: int, cause: Unreported) -> None:
        self.told.append(("journal_dropped", units, cause))

    def credits_lost(self, units: int, cause: Loss) -> None:
        self.told.append(("credits_lost", units, cause))

    def lease_requested(self, outcome: str) -> None:
        self.told.append(("lease_requested", outcome))

    def usage_read(self, route: str, tokens: Tokens) -> None:
        self.told.append(("usage_read", route, tokens))

    def usage_missing(self, route: str, cause: MissingCause) -> None:
        self.told.append(("usage_missing", route, cause))

    def units_settled(self, resource: str, route: str, outcome: Settled, units: int) -> None:
        self.told.append(("units_settled", resource, route, outcome, units))


class FixedIdentities:
    """Everyone is `who`, or nobody can be told; notes whether each asking could wait."""

    def __init__(self, who: Identity | IdentityFailure) -> None:
        self.who = who
        self.waits: list[bool] = []

    async def identify(
        self, headers: Headers, sources: Sequence[IdentitySource], *, wait: bool
    ) -> Identity | IdentityFailure:
        self.waits.append(wait)
        return self.who


def policy_of_pages(pages: dict[str, Route]) -> Policy:
    """Make a policy that routes by path; other paths are denied."""
    return Policy(
        product="acme-notes",
        version=1,
        hash="",
        identity=(),
        routes=tuple(pages.values()),
        matches=tuple(Match(parse_pattern(path), None, ()) for path in pages),
        unmatched=Action.DENY,
        errors=ErrorFormat.PROBLEM,
        case_sensitive=True,
    )


class HeldPolicy:
    """The policy in force, which a test may replace."""

    def __init__(self, current: Policy) -> None:
        self.current = current


class KnownBody:
    """A body that is already here."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.reads = 0

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        self.reads += 1
        return self.content if len(self.content) <= limit else None


class UnreadableBody:
    """A body whose reading ends in this error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        raise self._error
