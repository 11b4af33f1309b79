"""The paying phase: by credit, lease or consume, and what must be written down before a verdict."""

from __future__ import annotations

from functools import partial

from sidecar.admission.books import Books
from sidecar.admission.findings import (
    Credited,
    MeteredFinding,
    Unanswered,
    Unjournalled,
)
from sidecar.admission.journal_entries import JournalUnwritable
from sidecar.admission.leases import Leased
from sidecar.admission.ledger import Witness
from sidecar.admission.lessor import Lessor
from sidecar.admission.moment import Moment
from sidecar.admission.verdict import (
    Owed,
    Ruling,
    rule,
)
from sidecar.domain.choices import Accuracy
from sidecar.domain.model import Charge, Identity, Unreported, Verdict
from sidecar.domain.ports import AdmissionObserver, Clock, Quotas
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome
from sidecar.domain.share import Share
from sidecar.policy.compiled import Meter


class Payments:
    """Pays charges, and has the verdict table rule on how that went."""

    def __init__(
        self,
        *,
        quotas: Quotas,
        books: Books,
        clock: Clock,
        observer: AdmissionObserver,
        lessor: Lessor | None,
        share: Share,
    ) -> None:
        """Pay from `books`, else from `quotas`; without `lessor`, every consume is for one call.

        `share` is this process's part of what may pass while the platform does not answer.
        """
        self._quotas = quotas
        self._books = books
        self._clock = clock
        self._observer = observer
        self._lessor = lessor
        self._share = share

    async def pay(
        self,
        charge: Charge,
        meter: Meter,
        identity: Identity,
        *,
        ask: bool = False,
        reserved: int = 0,
    ) -> Ruling:
        """Rule on one charge. Does not suspend when the books alone decide.

        When it returns, whatever the ruling owes to the journal is in it. `ask`: the platform,
        whatever was paid before. `reserved` units of what is known are held for other use.
        """
        clock, books = self._clock, self._books
        finding: MeteredFinding | None = None
        timeout = meter.platform_timeout
        leases = meter.accuracy is Accuracy.LEASE and self._lessor is not None and not ask
        denied = charge.slot in books.ledger.denials
        if leases or denied or (books.credits.by_slot and not ask):
            now = Moment(clock.monotonic(), clock.time())
            if not ask:
                finding = self._prepaid(charge, meter, identity, now)
            if finding is None and denied:
                finding = books.ledger.denial(charge.slot, charge.amount, identity, now)
            if finding is None and leases:
                finding, timeout, now = await self._lease_on_its_way(
                    charge, timeout, now, identity, meter, reserved
                )
            if finding is not None:
                return self._ruled(finding, charge, meter, identity, now)
        outcome = await self._quotas.consume(
            charge, timeout=timeout, orphaned=partial(self._orphaned, charge, identity)
        )
        now = Moment(clock.monotonic(), clock.time())
        witness = None
        if isinstance(outcome, Granted) and outcome.quota.unlimited:
            witness = Witness.of(identity, charge.resource, now.unix)
        outcome = books.learn(charge, outcome, now, witness)
        if isinstance(outcome, Failed):
            unanswered = self._unanswered(
                outcome.kind, charge, meter, identity, now, reserved, sent=True
            )
            return self._ruled(unanswered, charge, meter, identity, now)
        return rule(outcome, meter, charge.amount, now.unix)

    def _prepaid(
        self, charge: Charge, meter: Meter, identity: Identity, now: Moment
    ) -> Credited | Leased | None:
        """Pay by what the platform has counted already: a credit, then a lease."""
        books = self._books
        slot = charge.slot
        if books.credits.by_slot:
            good_until = books.credits.draw(slot, charge.amount, now.unix)
            if good_until is not None:
                return Credited(good_until)
        if meter.accuracy is Accuracy.LEASE and self._lessor is not None:
            drawn = books.leases.draw(slot, charge.amount, now)
            last = books.ledger.remaining(slot, now.unix)
            units = books.leases.ask(slot, charge.amount, last, now)
            if units:
                self._lessor.fill(
                    charge.product,
                    slot,
                    units,
                    timeout=meter.platform_timeout,
                    witness=Witness.of(identity, charge.resource, now.unix),
                )
            return drawn
        return None

    async def _lease_on_its_way(  # noqa: PLR0917 - what `pay` knows by then
        self,
        charge: Charge,
        timeout: float,
        now: Moment,
        identity: Identity,
        meter: Meter,
        reserved: int,
    ) -> tuple[Leased | Unanswered | None, float, Moment]:
        """Wait for units that were asked for already; say what time is left, and when it is."""
        books, lessor = self._books, self._lessor
        slot = charge.slot
        if lessor is None or not books.leases.asking(slot):
            return None, timeout, now
        filled, timeout = await lessor.filled(slot, timeout)
        now = Moment.of(self._clock)
        drawn = books.leases.draw(slot, charge.amount, now)
        if drawn is not None:
            return drawn, timeout, now
        if isinstance(filled, Failed) or timeout <= 0:
            kind = filled.kind if isinstance(filled, Failed) else FailureKind.TIMEOUT
            unanswered = self._unanswered(kind, charge, meter, identity, now, reserved, sent=False)
            return unanswered, timeout, now
        return None, timeout, now

    def _unanswered(  # noqa: PLR0917 - what `pay` knows by then
        self,
        kind: FailureKind,
        charge: Charge,
        meter: Meter,
        identity: Identity,
        now: Moment,
        reserved: int,
        *,
        sent: bool,
    ) -> Unanswered:
        if kind is not FailureKind.OVERLOADED:
            self._observer.platform_degraded(kind)
        books = self._books
        known = books.ledger.last_known(charge.slot, identity, now.unix)
        spent = books.outages.spent(charge.slot, now.monotonic)
        budget = self._share.part(meter.fail_open_budget.units)
        return Unanswered(kind, sent, spent, budget, known, reserved)

    def _ruled(
        self, finding: MeteredFinding, charge: Charge, meter: Meter, identity: Identity, now: Moment
    ) -> Ruling:
        """Rule, and write down what the ruling owes; where that fails, rule again."""
        ruling = rule(finding, meter, charge.amount, now.unix)
        if ruling.owed is Owed.NOTHING or not isinstance(finding, Unanswered):
            return ruling
        witness = Witness.of(identity, charge.resource, now.unix)
        if ruling.owed is Owed.RECLAIM:
            self._books.owe(charge, now, witness)
            return ruling
        try:
            self._books.let_through(charge, finding.kind, now, witness, sent=finding.sent)
        except JournalUnwritable as error:
            closed = rule(Unjournalled(str(error)), meter, charge.amount, now.unix)
            unsure = finding.sent and finding.kind.result_unknown
            if unsure or closed.reason.verdict is Verdict.ALLOW:
                self._observer.journal_dropped(charge.amount, Unreported.UNWRITABLE)
            return closed
        return ruling

    def _orphaned(self, charge: Charge, identity: Identity, outcome: Outcome) -> None:
        now = Moment.of(self._clock)
        witness = Witness.of(identity, charge.resource, now.unix)
        self._books.orphan(charge, outcome, now, witness)
