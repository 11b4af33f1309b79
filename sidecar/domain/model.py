"""The words of the domain: frozen values that every part shares. No I/O, no clock, no logging.

The meaning of each word is in docs/glossary.md; reasons and their statuses are fixed by the
interface and appear unchanged in metrics, logs, error bodies and docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from typing_extensions import override

from sidecar.domain.values import value

Headers = Sequence[tuple[bytes, bytes]]
"""Header fields in wire order: lower-case name, value without surrounding white space."""

UNLIMITED: Final = -1
"""The platform's word for "no limit" in `limit` and `remaining` (contract, Quotas)."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of what is set for the whole sidecar is this process's: number `index` of `of`."""

    index: int
    of: int

    def part(self, units: int) -> int:
        """Return this process's part of `units`; the parts of all processes add up to them."""
        return units // self.of + (self.index < units % self.of)

    @override
    def __reduce__(self) -> tuple[type[Share], tuple[object, ...]]:
        # Compiled, it has no way of its own to another process.
        return Share, (self.index, self.of)


ALONE: Final = Share(0, 1)
"""The share of a sidecar that is one process."""


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
        return Verdict.ALLOW if self in _ALLOWING else Verdict.DENY

    @property
    def marked(self) -> bool:
        """Whether an allowed answer carries `X-Quota-Decision` with this reason."""
        return self in _MARKED


_MARKED: Final = frozenset(
    {Reason.OVER_QUOTA_ALLOWED, Reason.SHADOW, Reason.FAIL_OPEN, Reason.LAST_KNOWN}
)
_ALLOWING: Final = _MARKED | {
    Reason.WITHIN_QUOTA,
    Reason.LEASED,
    Reason.CREDITED,
    Reason.UNLIMITED,
    Reason.UNMETERED,
}


class OnPlatformError(StrEnum):
    """What a metered route does when the platform gives no answer to trust."""

    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"
    LAST_KNOWN = "last_known"


class OnOverQuota(StrEnum):
    """What happens over the limit: refuse, or count, mark and let through."""

    DENY = "deny"
    ALLOW = "allow"


class Accuracy(StrEnum):
    """One consume per call, or units taken ahead of the calls."""

    EXACT = "exact"
    LEASE = "lease"


class Refund(StrEnum):
    """Which attempts give their units back as a credit."""

    NEVER = "never"
    UNREACHED = "unreached"
    FAILED = "failed"


class OnReplay(StrEnum):
    """What a request ID seen before gets: charged again, or refused."""

    CHARGE = "charge"
    REJECT = "reject"


class Enforcement(StrEnum):
    """Refuse what the quota refuses, or only count it."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class ErrorFormat(StrEnum):
    """The shape of a refusal's body."""

    PROBLEM = "problem"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Action(StrEnum):
    """What an unmetered route does."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class CookieSource:
    """An identity taken from a cookie; with `secret`, the product's own HS256 session."""

    name: str
    secret: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BearerSource:
    """An identity taken from `Authorization: Bearer`."""


IdentitySource = CookieSource | BearerSource


@value
class Quota:
    """What the platform said of one org's resource. `reset_at` in Unix seconds, UTC."""

    resource: str
    limit: int
    used: int
    remaining: int
    period: str
    reset_at: float

    @property
    def unlimited(self) -> bool:
        """True for the platform's -1, which may also be its store being down."""
        return self.limit == UNLIMITED


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


class IdentityFailure(StrEnum):
    """Why no identity could be had: the `kind` label of `identity_failures_total`."""

    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    WRONG_ALGORITHM = "wrong_algorithm"
    FORBIDDEN_HEADER = "forbidden_header"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    BAD_CLAIMS = "bad_claims"
    KEYS_UNAVAILABLE = "keys_unavailable"


class RequestIdOrigin(StrEnum):
    """Who chose a request ID; only a trusted proxy's is believed (architecture, Keys)."""

    GENERATED = "generated"
    CLIENT = "client"
    TRUSTED = "trusted"


@value
class Call:
    """An inbound request as the engine sees it; `path` and `query` raw, without the `?` between."""

    method: str
    path: str
    query: str
    headers: Headers
    request_id: str
    request_id_origin: RequestIdOrigin


@value
class Charge:
    """What a call costs an org; only a key that is `private` to this process gives units back."""

    org_id: str
    product: str
    resource: str
    amount: int
    key: str
    private: bool


class FailureKind(StrEnum):
    """Why the platform gave no answer to trust; the same words label metrics and logs."""

    CONNECT = "connect"
    TIMEOUT = "timeout"
    RESET = "reset"
    BREAKER_OPEN = "breaker_open"
    CREDENTIAL_REFUSED = "credential_refused"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    MALFORMED = "malformed"
    DISGUISED = "disguised"
    OVERLOADED = "overloaded"  # this process was too late to read an answer: no failure of theirs

    @property
    def result_unknown(self) -> bool:
        """Whether the platform may have counted all the same, so that the key must be kept."""
        return self in _RESULT_UNKNOWN

    @property
    def permanent(self) -> bool:
        """Whether the same consume, sent again unchanged, would fail again."""
        return self in _PERMANENT


_RESULT_UNKNOWN: Final = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.RESET,
        FailureKind.CONFLICT,
        FailureKind.SERVER_ERROR,
        FailureKind.UNEXPECTED_STATUS,
        FailureKind.MALFORMED,
        FailureKind.OVERLOADED,
    }
)
_PERMANENT: Final = frozenset({FailureKind.NOT_FOUND, FailureKind.UNPROCESSABLE})


@value
class Granted:
    """The platform counted the charge."""

    quota: Quota


@value
class Refused:
    """The platform refused the charge as over the limit, and counted nothing."""

    quota: Quota


@dataclass(frozen=True, slots=True)
class Failed:
    """The platform gave no answer to trust."""

    kind: FailureKind


Outcome = Granted | Refused | Failed


class Loss(StrEnum):
    """Why paid units were given up unused: the `cause` of `credits_lost_units_total`."""

    EXPIRED = "expired"  # their quota period ended
    DISPLACED = "displaced"  # no room for all of them
    SHARED_KEY = "shared_key"  # another process may have executed a call under their key
    STOPPED = "stopped"  # the process ended, and no journal keeps them


class Execution(StrEnum):
    """How the attempt upstream ended, as far as `refund` and `replay` care."""

    DONE = "done"
    FAILED = "failed"  # the upstream answered 5xx
    UNREACHED = "unreached"  # provably, no byte reached the upstream


@value
class Permit:
    """Proof of admission: forwarding asks for one, and only the verdict table makes one.

    `charge` is None where nothing was charged (an unmetered route). `claim` names the entry
    in the replay book that the call holds, if it holds one. `good_until` is when the quota period
    of paid units ends (Unix seconds): a refund after it is worth nothing.
    """

    request_id: str
    route: str
    charge: Charge | None
    paid: bool
    refund: Refund
    claim: bytes | None
    good_until: float = 0.0


@value
class Decision:
    """What is to happen to a call, and all that its refusal or its marks are made from.

    Allowed means `permit` is there. `status` is the refusal's HTTP status (0 when allowed).
    `quota` is there only when the platform's answer is trusted. `retry_after` in seconds.
    `identity_failure` says what was wrong with the credential of an `unauthenticated` call.
    """

    reason: Reason
    route: str
    request_id: str
    permit: Permit | None
    status: int = 0
    detail: str = ""
    identity: Identity | None = None
    charge: Charge | None = None
    quota: Quota | None = None
    retry_after: float | None = None
    errors: ErrorFormat = ErrorFormat.PROBLEM
    identity_failure: IdentityFailure | None = None
