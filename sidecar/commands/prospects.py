"""What a call may come to: the engine's own verdict table, asked about each case. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sidecar.admission.findings import (
    Barred,
    Credited,
    Free,
    MeteredFinding,
    NoRoom,
    NotEntitled,
    Preflight,
    Replayed,
    TooLong,
    Unanswered,
    Unmetered,
)
from sidecar.admission.leases import Leased
from sidecar.admission.ledger import Remaining
from sidecar.admission.outages import Spent
from sidecar.admission.verdict import rule, rule_unmetered
from sidecar.domain.choices import Accuracy, OnReplay, Refund
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Reason
from sidecar.domain.quota import UNLIMITED, FailureKind, Granted, Quota, Refused
from sidecar.policy.amounts import UnreadableAmount
from sidecar.policy.compiled import Meter, UnsafePath

_SILENT: Final = "the platform gives no valid answer"
_PERIOD_END: Final = 3600.0
_NOW: Final = 0.0


@dataclass(frozen=True, slots=True)
class Prospect:
    """What the call comes to in one case; `status` 0 is the product's own answer."""

    when: str
    reason: Reason
    status: int


def of_unmetered(
    finding: Unmetered | Preflight | Barred | UnsafePath, when: str = "always"
) -> tuple[Prospect, ...]:
    """Return the one thing that a call without a meter comes to."""
    ruling = rule_unmetered(finding)
    return (Prospect(when, ruling.reason, ruling.status),)


def of_metered(
    meter: Meter, price: int | Free | TooLong | UnreadableAmount, product: str
) -> tuple[Prospect, ...]:
    """Return what a metered call of this price may come to, most usual first."""
    amount = price if isinstance(price, int) else 0
    prospects: list[Prospect] = []
    said: set[tuple[Reason, int]] = set()
    for when, finding in _cases(meter, price, product):
        ruling = rule(finding, meter, amount, _NOW)
        outcome = (ruling.reason, ruling.status)
        if isinstance(finding, Unanswered):
            if outcome in said:  # what the platform's silence comes to in another case, too
                continue
            said.add(outcome)
        prospects.append(Prospect(when, *outcome))
    return tuple(prospects)


def _cases(
    meter: Meter, price: int | Free | TooLong | UnreadableAmount, product: str
) -> Iterator[tuple[str, MeteredFinding]]:
    match price:
        case TooLong() | UnreadableAmount():
            yield "always", price
            return
        case Free():
            yield "the call is free", price
        case int():
            yield from _charged(meter, price)
    yield "no valid token", IdentityFailure.MISSING
    yield "no key set has been fetched yet", IdentityFailure.KEYS_UNAVAILABLE
    yield "the org does not have the product", NotEntitled(product)
    if meter.replay is OnReplay.REJECT:
        yield "a request ID seen again", Replayed()
    if meter.amount.needs_body:
        yield "no memory left for the body", NoRoom()


def _charged(meter: Meter, amount: int) -> Iterator[tuple[str, MeteredFinding]]:
    quota = Quota(meter.resource, amount, amount, 0, "hour", _PERIOD_END)
    yield "there is quota", Granted(quota)
    yield "the org has no limit", Granted(Quota(meter.resource, UNLIMITED, 0, UNLIMITED, "hour", 0))
    if meter.accuracy is Accuracy.LEASE:
        yield "a lease holds enough units", Leased(quota, _PERIOD_END)
    if meter.refund is not Refund.NEVER:
        yield "the org has a credit", Credited(_PERIOD_END)
    yield "over quota", Refused(quota)
    budget = meter.fail_open_budget
    nothing = Spent(0, 0.0, room=True)
    all_of_it = Spent(budget.units, budget.seconds, room=True)
    is_spent = f"and {budget.units_text} or {budget.seconds:g} s are spent on that"
    yield _SILENT, _unanswered(budget.units, nothing, None)
    yield f"{_SILENT}, {is_spent}", _unanswered(budget.units, all_of_it, None)
    yield f"{_SILENT}, and its last one leaves quota", _unanswered(budget.units, nothing, amount)
    yield f"{_SILENT}, and its last one leaves none", _unanswered(budget.units, nothing, 0)


def _unanswered(budget: int, spent: Spent, known: int | None) -> Unanswered:
    remaining = None
    if known is not None:
        remaining = Remaining(known, known, _PERIOD_END, running=True)
    return Unanswered(FailureKind.CONNECT, sent=False, spent=spent, budget=budget, known=remaining)
