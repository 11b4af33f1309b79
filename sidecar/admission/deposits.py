"""Calls that are settled by usage: from the deposit to the end of their answer.

Around the payment of a deposit: what the call may still cost is held, what it would owe if this
process ended is written down, and what its answer says is settled.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from sidecar.admission.books import Books
from sidecar.admission.call_estimates import NOTHING_KNOWN, CallEstimates, forgives
from sidecar.admission.cost import hold_of
from sidecar.admission.findings import MeteredFinding, ShortOfHold, Unjournalled
from sidecar.admission.first_answers import FirstAnswers
from sidecar.admission.journal_entries import JournalUnwritable
from sidecar.admission.moment import Moment
from sidecar.admission.payments import Payments
from sidecar.admission.reservations import Reservations
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


class Deposited(NamedTuple):
    """How a deposit was ruled on; `terms` where the call will be settled, and what was noted."""

    ruling: Ruling
    terms: Terms | None = None
    noted: str = ""


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
        self._holds = holds = settlements.holds
        self._reservations = own = Reservations(books=books, holds=holds)
        self._firsts = FirstAnswers()
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
            return Deposited(self._ruled(Unjournalled(problem), charge, meter))
        terms = self._terms(charge, meter, usage, estimate, identity)
        if usage.hold is None or forgives(meter):
            ruling = await self.pay_beside(charge, meter, identity)
        elif charge.private or self._reservations.known(charge, Moment.of(self._clock)):
            ruling = await self._pay_held(charge, meter, terms, identity)
        else:
            async with self._firsts.turn(charge.slot, meter.platform_timeout) as first:
                ruling = await self._pay_held(charge, meter, terms, identity, ask=first)
        if ruling.reason.verdict is Verdict.DENY:
            return Deposited(ruling)
        try:
            noted = self._settlements.note(charge, terms, route, Moment.of(self._clock))
        except JournalUnwritable as error:
            self._holds.cover(terms.name(charge.key))
            return Deposited(self._taken_back(ruling, Unjournalled(str(error)), charge, meter))
        return Deposited(ruling, terms, noted)

    async def pay_beside(self, charge: Charge, meter: Meter, identity: Identity) -> Ruling:
        """Rule on a call that holds nothing: it does not take the units that others hold."""
        if (not self._holds.by_slot and self._among is None) or forgives(meter):
            return await self._payments.pay(charge, meter, identity)
        others = 0 if self._among is None else self._among.others(charge.slot)
        fits = self._reservations.beside(charge, others, Moment.of(self._clock))
        if isinstance(fits, ShortOfHold):
            return self._ruled(fits, charge, meter)
        ruling = await self._payments.pay(
            charge, meter, identity, ask=fits.ask, reserved=fits.reserved
        )
        if ruling.quota is None or ruling.reason not in _ANSWERED or not charge.private:
            return ruling  # nothing could be given back
        short = self._reservations.leaves(charge, ruling.quota, others, Moment.of(self._clock))
        if short is None:
            return ruling
        return self._taken_back(ruling, short, charge, meter)

    async def _pay_held(
        self, charge: Charge, meter: Meter, terms: Terms, identity: Identity, *, ask: bool = False
    ) -> Ruling:
        """Rule on a call whose worst case is held: it has to fit before its deposit, and after."""
        call = terms.name(charge.key)
        fits = self._reservations.begin(charge, terms, Moment.of(self._clock))
        if isinstance(fits, ShortOfHold):
            return self._ruled(fits, charge, meter)
        try:
            if self._among is not None:
                fits = await self._among.begun(charge, terms, fits)
                if isinstance(fits, ShortOfHold):
                    return self._ruled(fits, charge, meter)
            ruling = await self._payments.pay(
                charge, meter, identity, ask=ask or fits.ask, reserved=fits.reserved
            )
        except BaseException:
            self._holds.refuse(call)
            raise
        if ruling.reason.verdict is Verdict.DENY:
            self._holds.refuse(call)
            return ruling
        answered = ruling.quota if ruling.reason in _ANSWERED else None
        if self._among is None:
            short = self._reservations.confirm(charge, terms, answered, Moment.of(self._clock))
        else:
            try:
                short = await self._among.confirm(charge, terms, answered, fits.room)
            except BaseException:
                self._holds.refuse(call)
                self._give_back(ruling, charge)
                raise
        if short is None:
            return ruling
        return self._taken_back(ruling, short, charge, meter)

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
        if usage.missing is OnMissing.AMOUNT:  # the least that it costs; nothing is paid of it
            usage = replace(usage, missing=OnMissing.HOLD, hold=None)
        unpaid = charge.own(charge.key, 0)
        terms = self._terms(unpaid, meter, usage, NOTHING_KNOWN, identity)
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
            limited=identity.limits(charge.resource),
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

    def _terms(
        self,
        charge: Charge,
        meter: Meter,
        usage: UsageRule,
        estimate: Estimate,
        identity: Identity,
    ) -> Terms:
        return Terms(
            usage,
            estimate,
            hold_of(usage, estimate, charge.amount),
            forgive=forgives(meter),
            limited=identity.limits(charge.resource),
            shadow=meter.enforcement is Enforcement.SHADOW,
            call=self._settlements.name_of(charge),
            meter=meter,
        )

    def _give_back(self, ruling: Ruling, charge: Charge) -> None:
        now = self._clock.time()
        self._books.give_back(charge, ruling.good_until, now, paid=ruling.paid)

    def _taken_back(
        self, ruling: Ruling, finding: MeteredFinding, charge: Charge, meter: Meter
    ) -> Ruling:
        """Give back the deposit of a call that is refused after all, and rule on why."""
        self._give_back(ruling, charge)
        return self._ruled(finding, charge, meter)

    def _ruled(self, finding: MeteredFinding, charge: Charge, meter: Meter) -> Ruling:
        return rule(finding, meter, charge.amount, self._clock.time())
