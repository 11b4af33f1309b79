"""Consumes what calls owe, as soon as their answers have ended."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecar.admission.books import Books
from sidecar.admission.journal import Journal
from sidecar.admission.journal_entries import Entry, JournalUnwritable
from sidecar.admission.moment import Moment
from sidecar.admission.settlements import Settlements
from sidecar.domain.ports import Clock, Quotas
from sidecar.domain.quota import Outcome

CONCURRENCY: Final = 64
"""Consumes of what is owed at once; the reporter sends what comes beyond it."""

CONSUME_SECONDS: Final = 2.0
"""Time given to one consume: no call waits for it, so it may take longer than a call's."""


class Settler:
    """Owns the tasks that send what is owed. Close it before the reporter's last round."""

    def __init__(
        self, *, settlements: Settlements, books: Books, quotas: Quotas, clock: Clock
    ) -> None:
        """Send entries of `books.journal` to `quotas`, and their answers to `settlements`."""
        self._settlements = settlements
        self._books = books
        self._quotas = quotas
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, key: str) -> None:
        """Begin to send the entry of `key`; where too many are being sent, the reporter will."""
        if len(self._tasks) >= CONCURRENCY:
            return
        task = asyncio.get_running_loop().create_task(self._send(key), name=f"settle {key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is being sent; each has its own timeout. When cancelled, cancel it."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, key: str) -> None:
        """Send an entry, and what is asked for instead when it is refused."""
        following: str | None = key
        while following is not None:
            entry = self._take(following)
            if entry is None:
                return
            outcome = await ask_again(self._quotas, entry, self._books.journal)
            _, following = self._settlements.answered(entry, outcome, Moment.of(self._clock))

    def _take(self, key: str) -> Entry | None:
        """Take an entry from the journal; None where the reporter has it, or no mark is kept."""
        try:
            return self._books.journal.take(Moment.of(self._clock), key)
        except JournalUnwritable:
            return None


async def ask_again(quotas: Quotas, entry: Entry, journal: Journal) -> Outcome:
    """Consume an entry that was taken from the journal. When cancelled, it is put back."""
    try:
        return await quotas.consume(
            entry.charge, timeout=CONSUME_SECONDS, orphaned=_leave_in_journal
        )
    except BaseException:
        # It may have been counted. The entry stays, and its key makes that harmless.
        journal.put_back(entry, sent=True)
        raise


def _leave_in_journal(outcome: Outcome) -> None:
    """Do nothing with an answer that came after its asker was cancelled: the entry is kept."""
    del outcome
