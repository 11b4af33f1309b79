"""Settlement: what a call has cost, against the deposit that was consumed before it ran.

What the cost is over the deposit is *owed*: paid from the org's credits, then from its lease, then
by a consume of its own. What the deposit is over the cost becomes a credit. Synchronous; a step
returns the key of what is to be sent, and the sender brings the answer to `answered`.

With an answer that refuses, what remains of the quota is consumed under a key of its own, and the
rest is overrun: the quota did not cover it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, assert_never

from sidecar.admission.books import Books
from sidecar.admission.cost import CarryBook, cost_if_killed, cost_of
from sidecar.admission.holds import HoldBook, HoldState
from sidecar.admission.idempotency import DerivedKey, derived_key_of
from sidecar.admission.journal_entries import Entry, Purpose, Settlement
from sidecar.admission.moment import Moment, good_until
from sidecar.domain.model import Charge, Permit
from sidecar.domain.ports import AdmissionObserver
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome, Quota, Refused
from sidecar.domain.usage import MissingCause, OnOverrun, Settled, Terms, Usage

MAX_TRIES: Final = 3
"""Consumes of what one call owes, each for less: others may consume what remains meanwhile."""


class Settlements:
    """Settles each call once, after its answer has ended in any way."""

    def __init__(self, *, books: Books, observer: AdmissionObserver, nonce: bytes) -> None:
        """Settle by `books`; `nonce` is this process's."""
        self._books = books
        self.holds: Final = HoldBook()
        self._carries = CarryBook()
        self._observer = observer
        self._nonce = nonce
        self._named = 0

    # while the call runs

    def name_of(self, charge: Charge) -> str:
        """Name a call, where its key may be that of another; "" where the key is its own.

        A trusted proxy's request ID has the same key after a restart, and at every replica, while
        what an earlier call owes still waits in the journal. Each owes for itself.
        """
        if charge.private and self.holds.state(charge.key) is HoldState.ABSENT:
            return ""
        self._named += 1
        return derived_key_of(DerivedKey.NAME, charge.key, self._named, self._nonce)

    def note(self, charge: Charge, terms: Terms, route: str, now: Moment) -> str:
        """Write down what an admitted call owes if this process ends before its answer does.

        Return the key of what was noted; empty where the deposit covers it, and where the journal
        ends with the process. JournalUnwritable when that cannot be done: then the call must not
        pass.
        """
        if not self._books.journal.durable:
            return ""
        units = cost_if_killed(terms, charge.amount) - charge.amount
        if units <= 0:
            return ""
        call = terms.name(charge.key)
        key = derived_key_of(DerivedKey.KILLED, call, units, self._nonce)
        of = Settlement(call, route, _forgives(terms), 1)
        owed = charge.own(key, units)
        entry = self._entry(owed, of, Purpose.RUNNING, now, limited=terms.limited)
        self._books.journal.note(entry, now)
        return key

    def void(self, permit: Permit, charge: Charge) -> None:
        """End what was noted and held for a call that owes nothing beyond its deposit."""
        self._forget(permit)
        terms = permit.terms
        self.holds.cover(charge.key if terms is None else terms.name(charge.key))

    # when its answer has ended

    def settle(self, permit: Permit, charge: Charge, usage: Usage, now: Moment) -> str | None:
        """Settle a call by what was read of its answer, which had a status of 2xx.

        Return the key of the journal's entry that is to be sent, if any is.
        """
        terms, books = permit.terms, self._books
        if terms is None:
            raise ValueError(f"route {permit.route} is not settled by usage")
        if usage.tokens is not None:
            self._observer.usage_read(permit.route, usage.tokens)
        if usage.missing is not None:
            self._observer.usage_missing(permit.route, usage.missing)
        units = cost_of(terms, usage, charge.amount)
        if not charge.private:
            # Another replica may have charged this key too, so nothing of it is given back.
            units = (max(units[0], charge.amount * units[1]), units[1])
        quota = books.ledger.quota(charge.slot)
        end = good_until(quota, now.unix) if quota is not None else permit.good_until or math.inf
        cost = self._carries.charge(charge.slot, units, end, now.unix)
        owed = cost - charge.amount
        self._close_deposit(permit, charge, max(0, -owed), now)
        if owed > 0:
            owed = self._pay(permit, charge, owed, now)
        if owed <= 0:
            self.void(permit, charge)
            return None
        unlimited = quota is not None and quota.unlimited
        call = terms.name(charge.key)
        self.holds.owe(call, charge.slot, 0 if unlimited else owed)
        of = Settlement(call, permit.route, _forgives(terms), 1)
        key = self._enter(charge, owed, of, now, limited=terms.limited)
        self._forget(permit)  # after what replaces it: a kill between the two loses nothing
        return key

    def answered(self, entry: Entry, outcome: Outcome, now: Moment) -> tuple[Outcome, str | None]:
        """Take in the platform's answer to what is owed.

        Return it as far as it is believed, and the key to send next, if any is. The entry was taken
        from the journal, and is resolved or put back.
        """
        books = self._books
        outcome = books.learn_of(entry, outcome, now)
        of = _settlement_of(entry)
        match outcome:
            case Granted():
                books.journal.resolve(entry.charge.key)
                self.holds.resolve(of.call)
                self._settled(entry, Settled.COUNTED, entry.charge.amount)
                return outcome, None
            case Refused(quota):
                return outcome, self._refused(entry, of, quota, now)
            case Failed(kind):
                self._unanswered(entry, kind, now)
                return outcome, None
        assert_never(outcome)

    def dropped(self, entry: Entry) -> None:
        """End what the journal has given up."""
        self.holds.resolve(_settlement_of(entry).call)
        self._settled(entry, Settled.DROPPED, entry.charge.amount)

    def restore(self, entries: Iterable[Entry], now: Moment) -> list[Entry]:
        """Take over what an earlier process owed; return the entries of other purposes.

        A call that was running when its process ended is settled by what was noted. Of two entries
        of a call the later one replaces the other: the process ended between the two.
        """
        others: list[Entry] = []
        latest: dict[str, Entry] = {}
        for entry in entries:
            of = entry.settlement
            if of is None:
                others.append(entry)
                continue
            before = latest.pop(of.call, None)
            if before is not None:
                self._books.journal.discard(before.charge.key)
            latest[of.call] = entry
        for entry in latest.values():
            self._restore(entry, now)
        return others

    def _restore(self, entry: Entry, now: Moment) -> None:
        books, charge, of = self._books, entry.charge, _settlement_of(entry)
        if self.holds.state(of.call) is not HoldState.ABSENT:  # of another file of the journal
            books.journal.discard(charge.key)
            return
        if entry.purpose is Purpose.RUNNING:
            self._observer.usage_missing(of.route, MissingCause.RESTART)
            entry = replace(entry, purpose=Purpose.OWED)
        books.journal.restore(entry, now)
        age = max(0.0, now.unix - entry.at)
        books.outages.let_through(charge.slot, charge.amount, now.monotonic - age)
        self.holds.restore(of.call, charge.slot, charge.amount)

    def _unanswered(self, entry: Entry, kind: FailureKind, now: Moment) -> None:
        """Let what is owed wait in the journal; it counts as admitted without an answer."""
        books, of = self._books, _settlement_of(entry)
        books.journal.put_back(entry, sent=kind.may_have_counted)
        if self.holds.state(of.call) is HoldState.OWED:
            books.outages.let_through(entry.charge.slot, entry.charge.amount, now.monotonic)
        self.holds.wait(of.call)

    def _close_deposit(self, permit: Permit, charge: Charge, surplus: int, now: Moment) -> None:
        """Give back what the deposit is over the cost; it may still have to be counted."""
        books = self._books
        if permit.paid:
            if surplus:
                books.credits.add(charge.slot, surplus, permit.good_until, now.unix)
                books.report_lost()
        elif books.journal.runs(charge.key):
            books.journal.close(charge.key, surplus=surplus)
        else:
            return  # refused, and passed all the same: nothing was paid
        if surplus:
            outcome = Settled.RETURNED
            self._observer.units_settled(charge.resource, permit.route, outcome, surplus)

    def _pay(self, permit: Permit, charge: Charge, owed: int, now: Moment) -> int:
        """Pay from what the platform has counted already; return what is left to pay."""
        books = self._books
        slot = charge.slot
        if charge.private:
            credited = books.credits.draw_part(slot, owed, now.unix)
        else:
            credited = 0 if books.credits.draw(slot, owed, now.unix) is None else owed
        leased = books.leases.draw_part(slot, owed - credited, now)
        for outcome, units in ((Settled.CREDITED, credited), (Settled.LEASED, leased)):
            if units:
                self._observer.units_settled(charge.resource, permit.route, outcome, units)
        return owed - credited - leased

    def _refused(self, entry: Entry, of: Settlement, quota: Quota, now: Moment) -> str | None:
        """Ask for what remains under a new key; the rest is overrun.

        First come credits: deposits of calls that were refused by their hold meanwhile are among
        what the platform has counted, and are given back by now.
        """
        books, charge = self._books, entry.charge
        credited = books.credits.draw_part(charge.slot, charge.amount, now.unix)
        left = charge.amount - credited
        less = min(quota.remaining, left, charge.amount - 1) if of.tries < MAX_TRIES else 0
        less = max(0, less)
        if credited:
            self._settled(entry, Settled.CREDITED, credited)
        if left > less:
            overrun = Settled.FORGIVEN if of.forgive else Settled.OVERRUN
            self._settled(entry, overrun, left - less)
            if not of.forgive:
                self._block(charge, quota, now)
        if not less:
            books.journal.resolve(charge.key)
            self.holds.resolve(of.call)
            return None
        following = replace(of, tries=of.tries + 1)
        key = self._enter(charge, less, following, now, limited=entry.limited)
        books.journal.resolve(charge.key)
        self.holds.lessen(of.call, less)
        return key

    def _block(self, charge: Charge, quota: Quota, now: Moment) -> None:
        """Refuse the org's calls of this resource, as if one of a single unit had been refused.

        So the same ends it: an answer that affords a call, an event, a newer token, or 5 s.
        """
        self._books.ledger.learn(charge.own(charge.key, 1), Refused(quota), now, None)

    def _enter(
        self, charge: Charge, units: int, of: Settlement, now: Moment, *, limited: bool
    ) -> str:
        key = derived_key_of(DerivedKey.OWED, of.call, units, self._nonce)
        owed = charge.own(key, units)
        entry = self._entry(owed, of, Purpose.OWED, now, limited=limited)
        self._books.journal.settle(entry, now)
        return key

    def _entry(
        self, owed: Charge, of: Settlement, purpose: Purpose, now: Moment, *, limited: bool
    ) -> Entry:
        known = limited or self._books.ledger.limited(owed.slot)
        return Entry(owed, purpose, now.unix, None, known, of)

    def _forget(self, permit: Permit) -> None:
        """Take back what was noted."""
        if permit.noted:
            self._books.journal.forget(permit.noted)

    def _settled(self, entry: Entry, outcome: Settled, units: int) -> None:
        route = _settlement_of(entry).route
        self._observer.units_settled(entry.charge.resource, route, outcome, units)


def _forgives(terms: Terms) -> bool:
    return terms.forgive or terms.rule.overrun is OnOverrun.FORGIVE


def _settlement_of(entry: Entry) -> Settlement:
    if entry.settlement is None:
        raise ValueError(f"journal entry {entry.charge.key} is of purpose {entry.purpose}")
    return entry.settlement
