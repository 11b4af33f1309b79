"""The paying phase: by credit, lease or consume, and what must be written down before a verdict."""

from __future__ import annotations

from functools import partial

from sidecar.admission.books import Books
from sidecar.admission.findings import (
    Credited,
    Denied,
    Leased,
    MeteredFinding,
    Unanswered,
    Unjournalled,
)
from sidecar.admission.journal import JournalUnwritable
from sidecar.admission.ledger import Witness
from sidecar.admission.lessor import Lessor
from sidecar.admission.moment import Moment
from sidecar.admission.verdict import (
    Owed,
    Ruling,
    rule,
)
from sidecar.domain.choices import Accuracy
from sidecar.domain.model import Charge, Failed, FailureKind, Granted, Identity, Outcome, Verdict
from sidecar.domain.ports import AdmissionObserver, Clock, Quotas
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

    async def pay(self, charge: Charge, meter: Meter, identity: Identity) -> Ruling:
        """Rule on one charge. Does not suspend when the books alone can tell.

        When it returns, whatever the ruling owes to the journal is in it.
        """
        clock = self._clock
        now = Moment(clock.monotonic(), clock.time())
        finding: MeteredFinding | None = self._from_books(charge, meter, identity, now)
        if finding is None:
            finding, now = await self._from_platform(charge, meter, identity, now)
        return self._rule(finding, charge, meter, identity, now)

    def _from_books(
        self, charge: Charge, meter: Meter, identity: Identity, now: Moment
    ) -> Credited | Leased | Denied | None:
        """Decide by what is known without asking; None: the platform must be asked."""
        books = self._books
        slot = (charge.org_id, charge.resource)
        if books.credits:
            good_until = books.credits.draw(slot, charge.amount, now.unix)
            if good_until is not None:
                return Credited(good_until)
        if meter.accuracy is Accuracy.LEASE and self._lessor is not None:
            drawn = books.leases.draw(slot, charge.amount, now)
            last = books.ledger.remaining(charge.org_id, charge.resource, now.unix)
            units = books.leases.ask(slot, charge.amount, last, now)
            if units:
                self._lessor.fill(
                    charge.product,
                    slot,
                    units,
                    timeout=meter.platform_timeout,
                    witness=Witness.of(identity, charge.resource, now.unix),
                )
            if drawn is not None:
                return Leased(drawn.quota, drawn.good_until)
        denied = books.ledger.denial(charge.org_id, charge.resource, charge.amount, identity, now)
        return None if denied is None else Denied(denied)

    async def _from_platform(
        self, charge: Charge, meter: Meter, identity: Identity, now: Moment
    ) -> tuple[MeteredFinding, Moment]:
        """Wait for a lease that is on its way, else ask for this charge alone; say when, too."""
        books = self._books
        slot = (charge.org_id, charge.resource)
        timeout = meter.platform_timeout
        if (
            meter.accuracy is Accuracy.LEASE
            and self._lessor is not None
            and books.leases.asking(slot)
        ):
            filled, timeout = await self._lessor.filled(slot, timeout)
            now = Moment.of(self._clock)
            drawn = books.leases.draw(slot, charge.amount, now)
            if drawn is not None:
                return Leased(drawn.quota, drawn.good_until), now
            if isinstance(filled, Failed) or timeout <= 0:
                kind = filled.kind if isinstance(filled, Failed) else FailureKind.TIMEOUT
                return self._unanswered(kind, charge, meter, identity, now, sent=False), now
        outcome = await self._quotas.consume(
            charge, timeout=timeout, orphaned=partial(self._orphaned, charge, identity)
        )
        now = Moment.of(self._clock)
        witness = None
        if isinstance(outcome, Granted) and outcome.quota.unlimited:
            witness = Witness.of(identity, charge.resource, now.unix)
        outcome = books.learn(charge, outcome, now, witness)
        if isinstance(outcome, Failed):
            return self._unanswered(outcome.kind, charge, meter, identity, now, sent=True), now
        return outcome, now

    def _unanswered(
        self,
        kind: FailureKind,
        charge: Charge,
        meter: Meter,
        identity: Identity,
        now: Moment,
        *,
        sent: bool,
    ) -> Unanswered:
        if kind is not FailureKind.OVERLOADED:
            self._observer.platform_degraded(kind)
        books = self._books
        known = books.ledger.last_known(charge.org_id, charge.resource, identity, now.unix)
        spent = books.outages.spent((charge.org_id, charge.resource), now.monotonic)
        budget = self._share.part(meter.fail_open_budget.units)
        return Unanswered(kind, sent, spent, budget, known)

    def _rule(
        self,
        finding: MeteredFinding,
        charge: Charge,
        meter: Meter,
        identity: Identity,
        now: Moment,
    ) -> Ruling:
        ruling = rule(finding, meter, charge.amount, now.unix)
        if ruling.owed is Owed.NOTHING or not isinstance(finding, Unanswered):
            return ruling
        witness = Witness.of(identity, charge.resource, now.unix)
        limited = witness is not None and witness.limited
        if ruling.owed is Owed.RECLAIM:
            self._books.owe(charge, now, limited=limited)
            return ruling
        try:
            self._books.let_through(charge, finding.kind, now, limited=limited, sent=finding.sent)
        except JournalUnwritable as error:
            closed = rule(Unjournalled(str(error)), meter, charge.amount, now.unix)
            unsure = finding.sent and finding.kind.result_unknown
            if unsure or closed.reason.verdict is Verdict.ALLOW:
                self._observer.journal_dropped(charge.amount)
            return closed
        return ruling

    def _orphaned(self, charge: Charge, identity: Identity, outcome: Outcome) -> None:
        now = Moment.of(self._clock)
        witness = Witness.of(identity, charge.resource, now.unix)
        self._books.orphan(charge, outcome, now, witness)
