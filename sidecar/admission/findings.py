"""What the engine's phases may find out about a call: what the verdict table rules on.

What another module has found is a finding as it is: a path, an amount, an identity, an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.admission.leases import Leased
from sidecar.admission.ledger import Remaining
from sidecar.admission.outages import Spent
from sidecar.domain.choices import Action
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.quota import FailureKind, Granted, Quota, Refused
from sidecar.policy.amounts import UnreadableAmount
from sidecar.policy.compiled import Route, UnsafePath


@dataclass(frozen=True, slots=True)
class Unmetered:
    """The route charges nothing."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """A browser asks whether a page may send a call that is let through or metered here."""


@dataclass(frozen=True, slots=True)
class Barred:
    """The policy lets nothing through here; `matched` by a route of it, or by none."""

    matched: bool


@dataclass(frozen=True, slots=True)
class NotEntitled:
    """The caller's org does not have the product."""

    product: str


@dataclass(frozen=True, slots=True)
class TooLong:
    """The body that sets the amount is longer than `limit` bytes."""

    limit: int


@dataclass(frozen=True, slots=True)
class NoRoom:
    """There is no memory for the body that sets the amount."""


@dataclass(frozen=True, slots=True)
class Free:
    """The call costs 0 units: there is nothing to ask."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The request ID was seen before, and the policy rejects those."""


@dataclass(init=False, slots=True, unsafe_hash=True)
class Credited:
    """A credit pays the call; its units were good until then (Unix seconds)."""

    good_until: Final[float]

    def __init__(self, good_until: float) -> None:
        self.good_until = good_until


@dataclass(frozen=True, slots=True)
class ShortOfHold:
    """What the call may cost does not fit beside what others may; `quota` less what these hold."""

    quota: Quota


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The platform gave no valid answer. `sent`: the charge's key may have reached it.

    `spent` of `budget` units has passed without one; `known` is what its last answer left, of which
    `reserved` units are held.
    """

    kind: FailureKind
    sent: bool
    spent: Spent
    budget: int
    known: Remaining | None
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Unjournalled:
    """What would have been admitted without confirmation cannot be written down."""

    detail: str


UnmeteredFinding = Unmetered | Preflight | Barred | UnsafePath
UngrantedFinding = (
    IdentityFailure
    | NotEntitled
    | TooLong
    | NoRoom
    | UnreadableAmount
    | Free
    | Replayed
    | Credited
    | Leased
    | ShortOfHold
    | Refused
    | Unanswered
    | Unjournalled
)
MeteredFinding = Granted | UngrantedFinding


def unmetered_finding(route: Route, *, matched: bool) -> Unmetered | Barred:
    """Find what a route without a meter does; `matched` by a route of the policy, or by none."""
    return Unmetered() if route.action is Action.ALLOW else Barred(matched)


def price_of(amount: int | UnreadableAmount) -> int | UnreadableAmount | Free:
    """Take an amount as it was read from a call."""
    return Free() if amount == 0 else amount
