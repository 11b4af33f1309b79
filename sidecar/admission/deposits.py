"""Calls that are settled by usage: from the deposit to the end of their answer.

Around the payment of a deposit: what the call may still cost is held, what it would owe if this
process ended is written down, and what its answer says is settled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from sidecar.admission.books import Books
from sidecar.admission.call_estimates import NOTHING_KNOWN, CallEstimates, forgives
from sidecar.admission.cost import hold_of
from sidecar.admission.findings import MeteredFinding, ShortOfHold, Unjournalled
from sidecar.admission.first_answers import FirstAnswers
from sidecar.admission.journal import JournalUnwritable
from sidecar.admission.ledger import Witness
from sidecar.admission.moment import Moment
from sidecar.admission.payments import Payments
from sidecar.admission.reservations import Reservations, Short
from sidecar.admission.settlements import Settlements
from sidecar.admission.settler import Settler
from sidecar.admission.shared_reservations import SharedReservations
from sidecar.admission.verdict import Ruling, permit_of_running, permit_with_terms, rule
from sidecar.domain.choices import Enforcement
from sidecar.domain.model import (
    Charge,
    Decision,
    Identity,
    Permit,
    Reason,
    Verdict,
)
from sidecar.domain.ports import Clock, Estimates, SharedHolds
from sidecar.domain.usage import (
    Estimate,
    OnMissing,
    OnOverrun,
    Terms,
    Usage,
    UsageFormat,
    UsageRule,
)
from sidecar.policy.compiled import Meter, Policy

_ANSWERED: Final = frozenset({Reason.WITHIN_QUOTA, Reason.UNLIMITED})
"""Reasons that come with the platform's answer to this very deposit."""


_ONE: Final = Decimal(1)
PRICED_BY_PRODUCT: Final = UsageRule(
    format=UsageFormat.OPENAI,
    per=_ONE,
    weights=(_ONE, _ONE, _ONE, _ONE),
    models=(),
    hold=None,
    missing=OnMissing.AMOUNT,
    request_usage=False,
    overrun=OnOverrun.BLOCK,
)
"""The rule of a route without one: the product names units, and nothing is read of its answer."""


@dataclass(init=False, slots=True, unsafe_hash=True)
class Deposited:
    """How a deposit was ruled on; `terms` where the call will be settled, and what was noted."""

    ruling: Final[Ruling]
    terms: Final[Terms | None]
    noted: Final[str]

    def __init__(self, ruling: Ruling, terms: Terms | None = None, noted: str = "") -> None:
        self.ruling = ruling
        self.terms = terms
        self.noted = noted


class Deposits:
    """Charges deposits, and settles their calls."""

    def __init__(
        self,
        *,
        payments: Payments,
        books: Books,
        settlements: Settlements,
        settler: Settler,
        clock: Clock,
        estimates: Estimates | None,
        shared: SharedHolds | None,
    ) -> None:
        """Charge by `payments`; `settler` sends what `settlements` finds owed.

        Without `shared`, holds are those of this process alone.
        """
        self.estimates: Final = CallEstimates(estimates, lasting=books.journal.durable)
        self._payments = payments
        self._books = books
        self._settlements = settlements
        self._settler = settler
        self._clock = clock
        holds = settlements.holds
        self._reservations = own = Reservations(books=books, holds=holds)
        self._firsts = FirstAnswers()
        self._shared = shared
        self._among = None
        if shared is not None:
            self._among = SharedReservations(own=own, holds=holds, shared=shared, clock=clock)

    async def pay(  # noqa: PLR0917 - all that a call is charged by
        self,
        charge: Charge,
        meter: Meter,
        usage: UsageRule,
        estimate: Estimate,
        route: str,
        identity: Identity,
    ) -> Deposited:
        """Rule on a deposit. When it returns, what the call may cost is held and written down.

        Cancelled, it holds nothing.
        """
        problem = self._books.journal.problem
        if problem and meter.enforcement is Enforcement.ENFORCE:
            # What the answer costs could not be remembered.
            return self._ended(Unjournalled(problem), charge, meter, Moment.of(self._clock))
        if usage.hold is None or forgives(meter):
            ruling = await self.pay_beside(charge, meter, identity)
            if ruling.reason.verdict is Verdict.DENY:
                return Deposited(ruling)
            now = Moment.of(self._clock)
            terms = self._terms(charge, meter, usage, estimate, identity, now)
            return self._noted(ruling, charge, meter, terms, route, now)
        slot = (charge.org_id, charge.resource)
        if charge.private or self._reservations.known(charge, Moment.of(self._clock)):
            return await self._pay(charge, meter, usage, estimate, route, identity)
        async with self._firsts.turn(slot, meter.platform_timeout) as first:
            return await self._pay(charge, meter, usage, estimate, route, identity, ask=first)

    async def pay_beside(self, charge: Charge, meter: Meter, identity: Identity) -> Ruling:
        """Rule on a call that holds nothing: it does not take the units that others hold."""
        nothing_held = not self._settlements.holds.by_slot and self._shared is None
        if nothing_held or forgives(meter):
            return await self._payments.pay(charge, meter, identity)
        slot = (charge.org_id, charge.resource)
        now = Moment.of(self._clock)
        others = 0 if self._shared is None else self._shared.others(slot)
        fits = self._reservations.beside(charge, others, now)
        if isinstance(fits, Short):
            return self._ended(ShortOfHold(fits.quota), charge, meter, now).ruling
        ruling = await self._payments.pay(
            charge, meter, identity, ask=fits.ask, reserved=fits.reserved
        )
        if ruling.quota is None or ruling.reason not in _ANSWERED or not charge.private:
            return ruling  # nothing could be given back
        now = Moment.of(self._clock)
        short = self._reservations.leaves(charge, ruling.quota, others, now)
        if short is None:
            return ruling
        self._give_back(ruling, charge, now)
        return self._ended(ShortOfHold(short.quota), charge, meter, now).ruling

    async def _pay(  # noqa: PLR0917 - all that a call is charged by
        self,
        charge: Charge,
        meter: Meter,
        usage: UsageRule,
        estimate: Estimate,
        route: str,
        identity: Identity,
        *,
        ask: bool = False,
    ) -> Deposited:
        now = Moment.of(self._clock)
        terms = self._terms(charge, meter, usage, estimate, identity, now)
        fits = self._reservations.begin(charge, terms, now)
        if isinstance(fits, Short):
            return self._ended(ShortOfHold(fits.quota), charge, meter, now)
        try:
            if self._among is not None:
                fits = await self._among.begun(charge, terms, fits)
                if isinstance(fits, Short):
                    return self._ended(ShortOfHold(fits.quota), charge, meter, now)
            ruling = await self._payments.pay(
                charge, meter, identity, ask=ask or fits.ask, reserved=fits.reserved
            )
        except BaseException:
            self._reservations.abandoned(charge, terms)
            raise
        if ruling.reason.verdict is Verdict.DENY:
            self._reservations.refused(charge, terms)
            return Deposited(ruling)
        answered = ruling.quota if ruling.reason in _ANSWERED else None
        if self._among is None:
            short = self._reservations.confirm(charge, terms, answered, Moment.of(self._clock))
        else:
            try:
                short = await self._among.confirm(charge, terms, answered, fits.room)
            except BaseException:
                self._reservations.abandoned(charge, terms)
                self._give_back(ruling, charge, Moment.of(self._clock))
                raise
        now = Moment.of(self._clock)
        if short is not None:
            self._give_back(ruling, charge, now)
            return self._ended(ShortOfHold(short.quota), charge, meter, now)
        return self._noted(ruling, charge, meter, terms, route, now)

    def owe(  # noqa: PLR0917 - all that a call is charged by
        self,
        charge: Charge,
        meter: Meter,
        usage: UsageRule,
        route: str,
        identity: Identity,
        found: Usage,
    ) -> None:
        """Settle a response that ran although its deposit was refused: all of its cost is owed.

        `charge` has a key of its own, and as its amount the deposit that was refused.
        """
        now = Moment.of(self._clock)
        if usage.missing is OnMissing.AMOUNT:  # the least that it costs; nothing is paid of it
            usage = replace(usage, missing=OnMissing.HOLD, hold=None)
        unpaid = Charge(charge.org_id, charge.product, charge.resource, 0, charge.key, private=True)
        terms = self._terms(unpaid, meter, usage, NOTHING_KNOWN, identity, now)
        terms = replace(terms, hold=max(terms.hold, charge.amount))
        self.finish(permit_of_running(unpaid, route, terms), unpaid, found)

    def priced_by_product(self, decision: Decision, policy: Policy) -> Permit:
        """Return the permit of a call whose product names its cost, with terms to settle it by.

        Of a route that a reload has taken away, what the quota does not cover blocks.
        """
        routes = policy.routes
        meter = next((each.meter for each in routes if each.name == decision.route), None)
        permit, charge, identity = decision.permit, decision.charge, decision.identity
        if permit is None or charge is None or identity is None:
            raise ValueError(f"request {decision.request_id}: {decision.reason} charges nothing")
        terms = Terms(
            PRICED_BY_PRODUCT,
            NOTHING_KNOWN,
            0,
            forgive=meter is not None and forgives(meter),
            limited=_is_limited(identity, charge.resource, Moment.of(self._clock)),
            call=self._settlements.name_of(charge),
        )
        return permit_with_terms(permit, terms)

    def finish(self, permit: Permit, charge: Charge, usage: Usage | None) -> bool:
        """Settle a call whose attempt has ended; say whether its deposit was settled with it.

        `usage` None: its deposit is its cost, or is given back.
        """
        if usage is None:
            self._settlements.void(permit, charge)
            return False
        terms = permit.terms
        if terms is not None and terms.estimate.unread:
            completed = self.estimates.completed(terms, usage)
            permit = permit if completed is terms else permit_with_terms(permit, completed)
        key = self._settlements.settle(permit, charge, usage, Moment.of(self._clock))
        if key is not None:
            self._settler.send(key)
        return True

    def _terms(  # noqa: PLR0917 - all that a call is charged by
        self,
        charge: Charge,
        meter: Meter,
        usage: UsageRule,
        estimate: Estimate,
        identity: Identity,
        now: Moment,
    ) -> Terms:
        return Terms(
            usage,
            estimate,
            hold_of(usage, estimate, charge.amount),
            forgive=forgives(meter),
            limited=_is_limited(identity, charge.resource, now),
            shadow=meter.enforcement is Enforcement.SHADOW,
            call=self._settlements.name_of(charge),
            meter=meter,
        )

    def _noted(  # noqa: PLR0917 - what `pay` knows by then
        self,
        ruling: Ruling,
        charge: Charge,
        meter: Meter,
        terms: Terms,
        route: str,
        now: Moment,
    ) -> Deposited:
        """Write down what a killed process would owe for a call that is admitted."""
        try:
            noted = self._settlements.note(charge, terms, route, now)
        except JournalUnwritable as error:
            self._settlements.holds.cover(terms.name(charge.key))
            self._give_back(ruling, charge, now)
            return self._ended(Unjournalled(str(error)), charge, meter, now)
        return Deposited(ruling, terms, noted)

    def _give_back(self, ruling: Ruling, charge: Charge, now: Moment) -> None:
        """Give back the deposit of a call that is refused after all."""
        if ruling.paid:
            self._books.refund(charge, ruling.good_until, now.unix)
        elif self._books.journal.runs(charge.key):
            self._books.journal.withdraw(charge.key)

    @staticmethod
    def _ended(finding: MeteredFinding, charge: Charge, meter: Meter, now: Moment) -> Deposited:
        return Deposited(rule(finding, meter, charge.amount, now.unix))


def _is_limited(identity: Identity, resource: str, now: Moment) -> bool:
    """Say whether the caller's token names a limit."""
    witness = Witness.of(identity, resource, now.unix)
    return witness is not None and witness.limited
