"""The words of the domain: frozen values that every part shares. No I/O, no clock, no logging.

The values of each request are dataclasses with a constructor of their own. mypyc compiles that (a
`Decision` takes 0.05 us), and not the one that `dataclass` makes (0.3 us, and 1.2 us where it is
frozen). `Final` holds the fields frozen for the type checker, and at run time where compiled.

The meaning of each word is in docs/glossary.md; reasons and their statuses are fixed by the
interface and appear unchanged in metrics, logs, error bodies and docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sidecar.domain.choices import ErrorFormat, Refund
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.quota import Quota
from sidecar.domain.usage import Terms

Headers = Sequence[tuple[bytes, bytes]]
"""Header fields in wire order: lower-case name, value without surrounding white space."""

Slot = tuple[str, str]
"""What the books are kept by: org and resource."""


class Resource(StrEnum):
    """What can be metered (contract, Quotas)."""

    AI_CALLS = "ai_calls"
    API_CALLS = "api_calls"
    STORAGE_BYTES = "storage_bytes"
    SEATS = "seats"


class Verdict(StrEnum):
    """The two things that can happen to a call."""

    ALLOW = "allow"
    DENY = "deny"


class Reason(StrEnum):
    """Why a call was allowed or denied: the closed list of the interface."""

    WITHIN_QUOTA = "within_quota"
    LEASED = "leased"
    CREDITED = "credited"
    UNLIMITED = "unlimited"
    UNMETERED = "unmetered"
    OVER_QUOTA_ALLOWED = "over_quota_allowed"
    SHADOW = "shadow"
    FAIL_OPEN = "fail_open"
    LAST_KNOWN = "last_known"
    OVER_QUOTA = "over_quota"
    BLOCKED = "blocked"
    UNMATCHED = "unmatched"
    UNAUTHENTICATED = "unauthenticated"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    NOT_ENTITLED = "not_entitled"
    REPLAYED = "replayed"
    FAIL_CLOSED = "fail_closed"
    FAIL_OPEN_SPENT = "fail_open_spent"
    BAD_REQUEST = "bad_request"
    OVERLOADED = "overloaded"
    DRAINING = "draining"

    @property
    def verdict(self) -> Verdict:
        """Allow or deny; a reason means one of them and never the other."""
        return Verdict.ALLOW if self in ALLOWING else Verdict.DENY

    @property
    def marked(self) -> bool:
        """Whether an allowed answer carries `X-Quota-Decision` with this reason."""
        return self in _MARKED


_MARKED: Final = frozenset(
    {Reason.OVER_QUOTA_ALLOWED, Reason.SHADOW, Reason.FAIL_OPEN, Reason.LAST_KNOWN}
)
ALLOWING: Final = _MARKED | {
    Reason.WITHIN_QUOTA,
    Reason.LEASED,
    Reason.CREDITED,
    Reason.UNLIMITED,
    Reason.UNMETERED,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller. Times in Unix seconds; `quotas` is no fresher than the token."""

    org_id: str
    user_id: str
    role: str
    plan: str
    apps: frozenset[str]
    quotas: Mapping[str, Quota]
    issued_at: float | None
    expires_at: float
    not_before: float | None = None

    def limits(self, resource: str) -> bool:
        """Say whether the token names a limit of this resource."""
        quota = self.quotas.get(resource)
        return quota is not None and not quota.unlimited


class RequestIdOrigin(StrEnum):
    """Who chose a request ID; only a trusted proxy's is believed (architecture, Keys)."""

    GENERATED = "generated"
    CLIENT = "client"
    TRUSTED = "trusted"


@dataclass(init=False, slots=True, unsafe_hash=True)
class Call:
    """An inbound request as the engine sees it; `path` and `query` raw, without the `?` between."""

    method: Final[str]
    path: Final[str]
    query: Final[str]
    headers: Final[Headers]
    request_id: Final[str]
    request_id_origin: Final[RequestIdOrigin]

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        request_id: str,
        request_id_origin: RequestIdOrigin,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.request_id = request_id
        self.request_id_origin = request_id_origin


@dataclass(init=False, slots=True, unsafe_hash=True)
class Charge:
    """What a call costs an org; only a key that is `private` to this process gives units back."""

    org_id: Final[str]
    product: Final[str]
    resource: Final[str]
    amount: Final[int]
    key: Final[str]
    private: Final[bool]
    slot: Slot = field(init=False, compare=False, repr=False)

    def __init__(
        self, org_id: str, product: str, resource: str, amount: int, key: str, private: bool
    ) -> None:
        self.org_id = org_id
        self.product = product
        self.resource = resource
        self.amount = amount
        self.key = key
        self.private = private
        self.slot = (org_id, resource)

    def own(self, key: str, amount: int) -> Charge:
        """Return a charge of the same org and resource under a key of this process alone."""
        return Charge(self.org_id, self.product, self.resource, amount, key, True)


class Loss(StrEnum):
    """Why paid units were given up unused: the `cause` of `credits_lost_units_total`."""

    EXPIRED = "expired"  # their quota period ended
    DISPLACED = "displaced"  # no room for all of them
    SHARED_KEY = "shared_key"  # another process may have executed a call under their key
    STOPPED = "stopped"  # the process ended, and no journal keeps them


class Unreported(StrEnum):
    """Why units of the journal were given up: the `cause` in the log."""

    EXPIRED = "expired"  # the platform no longer knows the key: a report could count twice
    REFUSED = "refused"  # permanently, while it took others
    STOPPED = "stopped"  # the process ended, and its journal is no file
    UNWRITABLE = "unwritable"  # the journal could not record the charge


class AttemptEnd(StrEnum):
    """How the attempt upstream ended, as far as `refund` and `replay` care."""

    DONE = "done"
    FAILED = "failed"  # the upstream answered 5xx
    UNREACHED = "unreached"  # provably, no byte reached the upstream


@dataclass(init=False, slots=True, unsafe_hash=True)
class Permit:
    """Proof of admission: forwarding asks for one, and only the verdict table makes one.

    `charge` is None where nothing was charged (an unmetered route). `claim` names the entry
    in the replay book that the call holds, if it holds one. `good_until` is when the quota period
    of paid units ends (Unix seconds): a refund after it is worth nothing. `terms` are there where
    the call is settled by its answer, and `noted` is the key of what the journal noted of it.
    """

    request_id: Final[str]
    route: Final[str]
    charge: Final[Charge | None]
    paid: Final[bool]
    refund: Final[Refund]
    claim: Final[bytes | None]
    good_until: Final[float]
    terms: Final[Terms | None]
    noted: Final[str]

    def __init__(
        self,
        request_id: str,
        route: str,
        charge: Charge | None,
        paid: bool,
        refund: Refund,
        claim: bytes | None,
        good_until: float = 0.0,
        terms: Terms | None = None,
        noted: str = "",
    ) -> None:
        self.request_id = request_id
        self.route = route
        self.charge = charge
        self.paid = paid
        self.refund = refund
        self.claim = claim
        self.good_until = good_until
        self.terms = terms
        self.noted = noted


@dataclass(init=False, slots=True, unsafe_hash=True)
class Decision:
    """What is to happen to a call, and all that its refusal or its marks are made from.

    Allowed means `permit` is there. `status` is the refusal's HTTP status (0 when allowed).
    `quota` is there only when the platform's answer is trusted. `retry_after` in seconds.
    `identity_failure` says why a metered call has no identity. `passing`: the same call may be
    allowed as soon as one under way has ended, so an SDK should try again by itself.
    """

    reason: Final[Reason]
    route: Final[str]
    request_id: Final[str]
    permit: Final[Permit | None]
    status: Final[int]
    detail: Final[str]
    identity: Final[Identity | None]
    charge: Final[Charge | None]
    quota: Final[Quota | None]
    retry_after: Final[float | None]
    errors: Final[ErrorFormat]
    identity_failure: Final[IdentityFailure | None]
    passing: Final[bool]

    def __init__(
        self,
        reason: Reason,
        route: str,
        request_id: str,
        permit: Permit | None,
        status: int = 0,
        detail: str = "",
        identity: Identity | None = None,
        charge: Charge | None = None,
        quota: Quota | None = None,
        retry_after: float | None = None,
        errors: ErrorFormat = ErrorFormat.PROBLEM,
        identity_failure: IdentityFailure | None = None,
        passing: bool = False,
    ) -> None:
        self.reason = reason
        self.route = route
        self.request_id = request_id
        self.permit = permit
        self.status = status
        self.detail = detail
        self.identity = identity
        self.charge = charge
        self.quota = quota
        self.retry_after = retry_after
        self.errors = errors
        self.identity_failure = identity_failure
        self.passing = passing
