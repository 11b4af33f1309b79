"""All books of one process, and what is asked of several of them at once.

Every step here is synchronous: no await between reading and writing (architecture, Rules 3).
"""

from __future__ import annotations

from sidecar.admission.credits import CreditBook, Lot
from sidecar.admission.journal import Journal
from sidecar.admission.journal_entries import (
    Entry,
    ForgetfulStore,
    JournalStore,
    JournalUnwritable,
    Purpose,
)
from sidecar.admission.leases import LeaseBook
from sidecar.admission.ledger import Ledger, Witness
from sidecar.admission.moment import Moment, good_until
from sidecar.admission.outages import OutageBook
from sidecar.admission.replays import ReplayBook
from sidecar.domain.model import Charge, Loss, Unreported
from sidecar.domain.ports import AdmissionObserver
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome, Refused


class Books:
    """Ledger, outages, credits, replays, leases and journal."""

    def __init__(self, observer: AdmissionObserver, store: JournalStore | None = None) -> None:
        """Keep the journal's records in `store`; in memory only without one."""
        self._observer = observer
        self._store = ForgetfulStore() if store is None else store
        self.ledger = Ledger()
        self.outages = OutageBook()
        self.credits = CreditBook()
        self.replays = ReplayBook()
        self.leases = LeaseBook()
        self.journal = Journal(self._store)

    def restore(self, entries: list[Entry], kept: list[Lot], now: Moment) -> None:
        """Take over what an earlier process left in the store.

        What it admitted without an answer still counts: a restart renews no budget.
        """
        for entry in entries:
            self.journal.restore(entry, now)
            if entry.purpose is Purpose.REPORT:
                charge = entry.charge
                age = max(0.0, now.unix - entry.at)
                self.outages.let_through(charge.slot, charge.amount, now.monotonic - age)
        for lot in kept:
            self.credits.add((lot.org_id, lot.resource), lot.units, lot.good_until, now.unix)
        self.report_lost()

    def learn(
        self, charge: Charge, outcome: Outcome, now: Moment, witness: Witness | None
    ) -> Outcome:
        """Take in the answer to a charge's first consume; return it as far as it is believed."""
        outcome = self.ledger.learn(charge, outcome, now, witness)
        if not isinstance(outcome, Failed):
            if self.outages.started:
                self.outages.end(charge.slot)
            self._observer.quota_seen(charge.org_id, outcome.quota)
        return outcome

    def learn_of(self, entry: Entry, outcome: Outcome, now: Moment) -> Outcome:
        """Take in the answer to an entry of the journal; return it as far as it is believed.

        One to a key sent before may repeat what the platform said long ago: it ends an outage, and
        says nothing of what remains.
        """
        charge = entry.charge
        unlimited = isinstance(outcome, Granted) and outcome.quota.unlimited
        if entry.sent_at is None or unlimited:
            witness = Witness(limited=True, as_of=entry.at) if entry.limited else None
            return self.learn(charge, outcome, now, witness)
        if not isinstance(outcome, Failed):
            self.outages.end(charge.slot)
        return outcome

    def refund(self, charge: Charge, good_until: float, now: float) -> None:
        """Owe a paid charge's units to its org, as a credit; times in Unix seconds.

        Not where another process may have executed a call under the same key: it was paid for that.
        """
        if not charge.private:
            self._observer.credits_lost(charge.amount, Loss.SHARED_KEY)
            return
        self.credits.add(charge.slot, charge.amount, good_until, now)
        self.report_lost()

    def give_back(self, charge: Charge, good_until: float, now: float, *, paid: bool) -> None:
        """Give back what a call was admitted by that did not happen; times in Unix seconds.

        Not `paid`, it is not owed; where it may have been counted, the platform is asked.
        """
        if paid:
            self.refund(charge, good_until, now)
        elif self.journal.runs(charge.key):
            self.journal.withdraw(charge.key)

    def orphan(
        self, charge: Charge, outcome: Outcome, now: Moment, witness: Witness | None
    ) -> None:
        """Take in the answer to a charge whose call is gone: granted, it becomes a credit."""
        match self.learn(charge, outcome, now, witness):
            case Granted(quota):
                self.refund(charge, good_until(quota, now.unix), now.unix)
            case Failed(kind) if kind.result_unknown:
                self.owe(charge, now, witness)
            case Failed() | Refused():
                return

    def owe(self, charge: Charge, now: Moment, witness: Witness | None) -> None:
        """Ask again, later, whether a charge that came to nothing was counted.

        Only where its units could be given back: asked again, the platform would count it now.
        """
        if not charge.private:
            return
        try:
            self.journal.owe(charge, now=now, limited=self._limited(charge, witness))
        except JournalUnwritable:
            self._observer.journal_dropped(charge.amount, Unreported.UNWRITABLE)

    def let_through(
        self, charge: Charge, kind: FailureKind, now: Moment, witness: Witness | None, *, sent: bool
    ) -> None:
        """Remember a call that passes without an answer; JournalUnwritable when it must not."""
        self.journal.open(
            charge,
            now=now,
            sent=sent and kind.may_have_counted,
            limited=self._limited(charge, witness),
        )
        first = self.outages.let_through(charge.slot, charge.amount, now.monotonic)
        self._observer.admitted_unconfirmed(charge, kind, first=first)

    def report_lost(self) -> None:
        """Report the paid units that were given up since the last report."""
        for units, cause in (
            (self.credits.expired + self.leases.expired, Loss.EXPIRED),
            (self.credits.displaced, Loss.DISPLACED),
        ):
            if units:
                self._observer.credits_lost(units, cause)
        self.credits.expired = self.credits.displaced = self.leases.expired = 0

    def close(self, now: float) -> int:
        """Keep unspent credits and leases for the next start; return the units that were lost.

        Those are what no store kept: what the journal could not report, credits and leases.

        Call once, when no call is in flight any more; `now` in Unix seconds.
        """
        for lot in self.leases.surrender(now):
            self.credits.add((lot.org_id, lot.resource), lot.units, lot.good_until, now)
        self.report_lost()
        owed = 0 if self._store.durable else self.journal.units
        if owed:
            self._observer.journal_dropped(owed, Unreported.STOPPED)
        paid = sum(lot.units for lot in self.credits.lots() if not self._kept(lot))
        if paid:
            self._observer.credits_lost(paid, Loss.STOPPED)
        return owed + paid

    def _limited(self, charge: Charge, witness: Witness | None) -> bool:
        witnessed = witness is not None and witness.limited
        return witnessed or self.ledger.limited(charge.slot)

    def _kept(self, lot: Lot) -> bool:
        if not self._store.durable:
            return False
        try:
            self._store.append(lot)
        except JournalUnwritable:
            return False
        return True
