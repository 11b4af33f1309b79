"""The verdict table: from what the phases found to a ruling, and from a ruling to a decision.

Total, pure, and the only module that makes a `Permit` (architecture, Rules that hold, 1). What a
finding means is written once, in `rule`; no default, empty value or exception in it means "allow".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, assert_never

from sidecar.admission.findings import (
    Barred,
    Credited,
    Free,
    MeteredFinding,
    NoRoom,
    NotEntitled,
    Preflight,
    Replayed,
    ShortOfHold,
    TooLong,
    Unanswered,
    UngrantedFinding,
    Unjournalled,
    Unmetered,
    UnmeteredFinding,
)
from sidecar.admission.leases import Leased
from sidecar.admission.moment import good_until
from sidecar.domain.choices import Enforcement, ErrorFormat, OnOverQuota, OnPlatformError, Refund
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import ALLOWING, Charge, Decision, Identity, Permit, Reason
from sidecar.domain.quota import FailureKind, Granted, Quota, Refused
from sidecar.domain.usage import Terms
from sidecar.policy.amounts import UnreadableAmount
from sidecar.policy.compiled import Meter, UnsafePath

FAILURE_RETRY_SECONDS: Final = 5.0
"""`Retry-After` of a call refused because the platform, or its key set, gave no answer."""

OVERLOAD_RETRY_SECONDS: Final = 1.0
"""`Retry-After` of a call that this process has no room or time for."""

HOLD_RETRY_SECONDS: Final = 1.0
"""`Retry-After` of a call whose hold does not fit: those of other calls end at any moment."""

MAX_RETRY_SECONDS: Final = 24 * 3600.0
"""The longest `Retry-After` over quota: a limit may be raised long before its month ends."""


class Owed(Enum):
    """What must be in the journal before the decision is returned."""

    NOTHING = auto()
    REPORT = auto()  # executed without a confirmed charge
    RECLAIM = auto()  # not executed, and perhaps charged


@dataclass(init=False, slots=True, unsafe_hash=True)
class Ruling:
    """What follows from a finding. `good_until` is 0 where no units were paid.

    `passing`: a refusal that ends as soon as a call under way does.
    """

    reason: Final[Reason]
    status: Final[int]
    detail: Final[str]
    retry_after: Final[float | None]
    quota: Final[Quota | None]
    paid: Final[bool]
    good_until: Final[float]
    owed: Final[Owed]
    passing: Final[bool]

    def __init__(
        self,
        reason: Reason,
        status: int = 0,
        detail: str = "",
        retry_after: float | None = None,
        quota: Quota | None = None,
        paid: bool = False,
        good_until: float = 0.0,
        owed: Owed = Owed.NOTHING,
        passing: bool = False,
    ) -> None:
        self.reason = reason
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.quota = quota
        self.paid = paid
        self.good_until = good_until
        self.owed = owed
        self.passing = passing


_UNMETERED: Final = Ruling(Reason.UNMETERED)


def rule_unmetered(finding: UnmeteredFinding) -> Ruling:
    """Rule on a call that no meter sees."""
    match finding:
        case Unmetered() | Preflight():
            return _UNMETERED
        case Barred(matched):
            if matched:
                return Ruling(Reason.BLOCKED, 403, "the policy blocks this route")
            return Ruling(Reason.UNMATCHED, 403, "no route of the policy matches this call")
        case UnsafePath(detail):
            return Ruling(Reason.BAD_REQUEST, 400, detail)
    assert_never(finding)


def rule(finding: MeteredFinding, meter: Meter, amount: int, now: float) -> Ruling:
    """Rule on a metered call of `amount` units at `now` (Unix seconds), its enforcement included.

    In shadow every refusal of a metered route becomes `shadow`: what the trial must not do is
    change an answer of the product. A body that there was no room for cannot be forwarded.
    """
    if isinstance(finding, Granted):
        quota = finding.quota
        return Ruling(
            Reason.UNLIMITED if quota.unlimited else Reason.WITHIN_QUOTA,
            quota=quota,
            paid=True,
            good_until=quota.reset_at if quota.reset_at > now else good_until(quota, now),
        )
    ruling = _enforced(finding, meter, amount, now)
    enforced = meter.enforcement is Enforcement.ENFORCE or isinstance(finding, NoRoom)
    if enforced or ruling.reason in ALLOWING:
        return ruling
    return Ruling(
        Reason.SHADOW,
        detail=f"would have been refused as {ruling.reason}: {ruling.detail}",
        # It is executed all the same, so what was not answered must be reported.
        owed=Owed.REPORT if isinstance(finding, Unanswered) else Owed.NOTHING,
    )


def _enforced(  # noqa: C901, PLR0912 - the one table: split, it could no longer be read as one
    finding: UngrantedFinding, meter: Meter, amount: int, now: float
) -> Ruling:
    match finding:
        case Leased(quota, until):
            return Ruling(Reason.LEASED, quota=quota, paid=True, good_until=until)
        case Credited(until):
            return Ruling(Reason.CREDITED, paid=True, good_until=until)
        case Refused(quota):
            return _over_quota(meter, amount, quota.reset_at - now, quota=quota)
        case ShortOfHold(quota):
            return _over_quota(meter, amount, HOLD_RETRY_SECONDS, quota=quota, passing=True)
        case Unanswered():
            return _unanswered(finding, meter, amount, now)
        case Unjournalled(detail):
            return _unavailable(Reason.FAIL_CLOSED, detail)
        case Free():
            return Ruling(Reason.WITHIN_QUOTA)
        case Replayed():
            return Ruling(Reason.REPLAYED, 409, "this request ID was already used for a call")
        case IdentityFailure.KEYS_UNAVAILABLE:  # the token may be good: no new sign-in
            return _unavailable(Reason.IDENTITY_UNAVAILABLE, "")
        case IdentityFailure():
            return Ruling(Reason.UNAUTHENTICATED, 401)  # the metric says which check failed
        case NotEntitled(product):
            return Ruling(Reason.NOT_ENTITLED, 403, f"the organisation does not have {product}")
        case TooLong(limit):
            detail = f"the body sets the price of this call and is longer than {limit} bytes"
            return Ruling(Reason.BAD_REQUEST, 413, detail)
        case NoRoom():
            return _unavailable(Reason.OVERLOADED, "Too many request bodies are under way.")
        case UnreadableAmount(detail, status):
            return Ruling(Reason.BAD_REQUEST, status, detail)
    assert_never(finding)


def _unanswered(finding: Unanswered, meter: Meter, amount: int, now: float) -> Ruling:
    unsure = finding.sent and finding.kind.result_unknown
    if_refused = Owed.RECLAIM if unsure else Owed.NOTHING
    detail = f"the platform gave no valid answer: {finding.kind}"
    closed = _unavailable(Reason.FAIL_CLOSED, detail, if_refused)
    known, spent = finding.known, finding.spent
    if finding.kind is FailureKind.OVERLOADED:  # we were too late to read what it said
        return _unavailable(Reason.OVERLOADED, "Too much is under way.", if_refused)
    left = None if known is None or known.units is None else known.units - finding.reserved
    if known is not None and known.running and left is not None and left < amount:
        # An outage makes nothing free for an org that was over its limit before it.
        held = left + finding.reserved >= amount
        seconds = HOLD_RETRY_SECONDS if held else known.reset_at - now
        return _over_quota(meter, amount, seconds, owed=if_refused, passing=held)
    match meter.on_platform_error:
        case OnPlatformError.FAIL_CLOSED:
            return closed
        case OnPlatformError.FAIL_OPEN:
            if (
                not spent.room
                or spent.units + amount > finding.budget
                or spent.seconds >= meter.fail_open_budget.seconds
            ):
                detail = f"{detail}; what may pass without one is spent"
                return _unavailable(Reason.FAIL_OPEN_SPENT, detail, if_refused)
            return Ruling(Reason.FAIL_OPEN, detail=detail, owed=Owed.REPORT)
        case OnPlatformError.LAST_KNOWN:
            if known is None or not spent.room:
                return closed
            if left is None or left - spent.units >= amount:
                return Ruling(Reason.LAST_KNOWN, detail=detail, owed=Owed.REPORT)
            return _over_quota(meter, amount, known.reset_at - now, owed=if_refused)
    assert_never(meter.on_platform_error)


def _unavailable(reason: Reason, detail: str, owed: Owed = Owed.NOTHING) -> Ruling:
    """Rule that the call may be sent again: nothing is wrong with it."""
    overloaded = reason is Reason.OVERLOADED
    seconds = OVERLOAD_RETRY_SECONDS if overloaded else FAILURE_RETRY_SECONDS
    return Ruling(reason, 503, detail, retry_after=seconds, owed=owed)


def _over_quota(
    meter: Meter,
    amount: int,
    seconds: float,
    *,
    quota: Quota | None = None,
    owed: Owed | None = None,
    passing: bool = False,
) -> Ruling:
    """Rule over the limit; `owed` only where the platform has not answered for this call."""
    match meter.on_over_quota:
        case OnOverQuota.DENY:
            return Ruling(
                Reason.OVER_QUOTA,
                meter.deny_status,
                f"this call costs {amount} of {meter.resource}, more than is left of the quota",
                retry_after=min(max(seconds, 1.0), MAX_RETRY_SECONDS),
                quota=quota,
                owed=Owed.NOTHING if owed is None else owed,
                passing=passing,
            )
        case OnOverQuota.ALLOW:
            # A refused consume counted nothing, and would again: there is nothing to report.
            return Ruling(
                Reason.OVER_QUOTA_ALLOWED,
                quota=quota,
                owed=Owed.NOTHING if owed is None else Owed.REPORT,
            )
    assert_never(meter.on_over_quota)


def conclude(
    ruling: Ruling,
    request_id: str,
    route: str,
    errors: ErrorFormat,
    identity: Identity | None,
    *,
    charge: Charge | None = None,
    refund: Refund = Refund.NEVER,
    claim: bytes | None = None,
    identity_failure: IdentityFailure | None = None,
    terms: Terms | None = None,
    noted: str = "",
) -> Decision:
    """Make the decision that a ruling asks for, with a permit where it allows."""
    permit = None
    if ruling.reason in ALLOWING:
        permit = Permit(
            request_id, route, charge, ruling.paid, refund, claim, ruling.good_until, terms, noted
        )
    return Decision(
        ruling.reason, route, request_id, permit, ruling.status, ruling.detail, identity, charge,
        ruling.quota, ruling.retry_after, errors, identity_failure, ruling.passing,
    )  # fmt: skip


def permit_of_running(charge: Charge, route: str, terms: Terms) -> Permit:
    """Make the permit of a response that the product gives though its deposit was refused.

    It lets nothing more pass: what is charged for is under way already.
    """
    return Permit(charge.key, route, charge, False, Refund.NEVER, None, 0.0, terms)


def permit_with_terms(permit: Permit, terms: Terms) -> Permit:
    """Make the permit of an admitted call whose product has named its cost.

    It lets nothing more pass: the call is answered already.
    """
    return Permit(
        permit.request_id, permit.route, permit.charge, permit.paid, permit.refund, permit.claim,
        permit.good_until, terms, permit.noted,
    )  # fmt: skip
