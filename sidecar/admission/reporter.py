"""Sends the platform, once it answers again, what the journal holds: each key exactly as it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final, assert_never

from sidecar.admission.books import Books
from sidecar.admission.journal_entries import Entry, JournalUnwritable, Purpose
from sidecar.admission.moment import Moment, good_until
from sidecar.admission.settlements import Settlements
from sidecar.admission.settler import ask_again
from sidecar.domain.model import Unreported
from sidecar.domain.ports import AdmissionObserver, Clock, Quotas
from sidecar.domain.quota import Failed, Granted, Outcome, Refused

CONCURRENCY: Final = 4
"""Entries sent at once: what waits in a journal must not crowd out the calls of now."""

IDLE_SECONDS: Final = 1.0
"""How often an empty journal is looked at, and the first wait after a failure."""

LONGEST_WAIT_SECONDS: Final = 30.0
"""The longest wait between two tries, while none is answered."""


class _Answer(Enum):
    """What one entry's sending says of the platform."""

    TRUSTED = auto()
    HOPELESS = auto()  # this entry as it is will not be taken; others may
    NONE = auto()


class Reporter:
    """The task that empties the journal. `run` it, and `drain` once at the end."""

    def __init__(
        self,
        *,
        books: Books,
        quotas: Quotas,
        clock: Clock,
        observer: AdmissionObserver,
        settlements: Settlements,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Send the entries of `books.journal` to `quotas`; `settlements` takes what is owed."""
        self._books = books
        self._settlements = settlements
        self._quotas = quotas
        self._clock = clock
        self._observer = observer
        self._sleep = sleep

    async def run(self) -> None:
        """Report for ever, with growing and jittered waits while the platform does not answer."""
        wait = IDLE_SECONDS
        while True:
            # Replicas that lost the platform together must not come back together.
            await self._sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            answered = await self.report()
            wait = IDLE_SECONDS if answered else min(wait * 2, LONGEST_WAIT_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Try once to report all, at shutdown; what is left after `seconds` stays in the journal.

        Call it after `run` was cancelled.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.report()
        except TimeoutError:
            return  # each entry was put back as it was cancelled

    async def report(self) -> bool:
        """Send what is pending now, until one goes unanswered.

        Return whether any was answered, or none was pending: a platform that answers some is asked
        again soon, or a long journal would wait half a minute for each few entries.

        What the platform may have counted and has forgotten since is given up first.

        One entry goes first alone: a platform that is down is asked one question, not four.
        """
        self._books.report_lost()
        hopeless: list[Entry] = []
        answers: set[_Answer] = set()
        try:
            await self._send_pending(hopeless, answers)
        finally:
            # One entry refused permanently is that entry's fault only if others were answered:
            # a misrouted platform answers 404 to everything, and must not empty the journal.
            for entry in hopeless:
                if _Answer.TRUSTED in answers:
                    self._books.journal.resolve(entry.charge.key)
                    self._dropped(entry, Unreported.REFUSED)
                else:
                    self._books.journal.put_back(entry, sent=True)
        return _Answer.TRUSTED in answers or not answers

    async def _send_pending(self, hopeless: list[Entry], answers: set[_Answer]) -> None:
        journal = self._books.journal
        left = journal.pending
        batch = 1
        while _Answer.NONE not in answers:
            # For each batch again: a long journal takes long to send, and entries age meanwhile.
            for entry in journal.drop_expired(Moment.of(self._clock)):
                self._dropped(entry, Unreported.EXPIRED)
            left = min(left, journal.pending)
            if not left:
                return
            taken = self._take(min(batch, left))
            if not taken:
                answers.add(_Answer.NONE)  # no mark can be written: nothing may be sent unmarked
                return
            left -= len(taken)
            answers.update(await asyncio.gather(*(self._send(e, hopeless) for e in taken)))
            batch = CONCURRENCY

    def _dropped(self, entry: Entry, cause: Unreported) -> None:
        if entry.purpose is Purpose.OWED:
            self._settlements.dropped(entry)
        self._observer.journal_dropped(entry.charge.amount, cause)

    def _take(self, count: int) -> list[Entry]:
        taken: list[Entry] = []
        try:
            while len(taken) < count:
                entry = self._books.journal.take(Moment.of(self._clock))
                if entry is None:
                    break
                taken.append(entry)
        except JournalUnwritable:
            return taken  # those that were marked can go
        return taken

    async def _send(self, entry: Entry, hopeless: list[Entry]) -> _Answer:
        outcome = await ask_again(self._quotas, entry, self._books.journal)
        if isinstance(outcome, Failed) and outcome.kind.permanent:
            hopeless.append(entry)
            return _Answer.HOPELESS
        now = Moment.of(self._clock)
        if entry.purpose is Purpose.OWED:  # what is to be sent next is in the journal
            outcome, _ = self._settlements.answered(entry, outcome, now)
        else:
            outcome = self._answered(entry, outcome, now)
        match outcome:
            case Granted():
                reported, answer = "counted", _Answer.TRUSTED
            case Refused():
                reported, answer = "refused", _Answer.TRUSTED
            case Failed():
                reported, answer = "unknown", _Answer.NONE
            case _:
                assert_never(outcome)
        self._observer.journal_replayed(reported, entry.charge.amount)
        return answer

    def _answered(self, entry: Entry, outcome: Outcome, now: Moment) -> Outcome:
        """Take in the answer to a deposit; return it as far as it is believed."""
        books, charge = self._books, entry.charge
        outcome = books.learn_of(entry, outcome, now)
        match outcome:
            case Granted(quota):
                books.journal.resolve(charge.key)
                end = good_until(quota, now.unix)
                if entry.purpose is Purpose.RECLAIM:
                    books.refund(charge, end, now.unix)
                elif entry.surplus:  # what the call cost was less than this deposit
                    books.credits.add(charge.slot, entry.surplus, end, now.unix)
            case Refused():
                books.journal.resolve(charge.key)
            case Failed(kind):
                books.journal.put_back(entry, sent=kind.may_have_counted)
            case _:
                assert_never(outcome)
        return outcome
