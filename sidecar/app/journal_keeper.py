"""Keeps the journal's files: retries what their disk refused, takes over what no process holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.admission.books import Books
from sidecar.admission.journal import CAPACITY
from sidecar.admission.journal_files import JournalFiles
from sidecar.admission.moment import Moment
from sidecar.admission.settlements import Settlements
from sidecar.domain.ports import Clock

log = logging.getLogger("sidecar.journal")

LOOK_SECONDS: Final = 5.0
"""How often the files are looked at; a worker that starts has as long to take its own."""


class JournalKeeper:
    """Brings what the files hold into the books: `begin`, then `run`."""

    def __init__(
        self,
        files: JournalFiles,
        books: Books,
        settlements: Settlements,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep `files`, the store of `books`; `settlements` takes what calls owed."""
        self._files = files
        self._books = books
        self._settlements = settlements
        self._clock = clock
        self._sleep = sleep
        self._reported: set[object] = set()
        self._problem = ""

    def begin(self, *, alone: bool) -> None:
        """Take what this process's file holds; `alone`: also what other files of the name hold."""
        if alone:
            self._take_over()
        self._restore()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Retry what failed, and take over what no process holds now."""
        self._files.recover()
        if len(self._books.journal) < CAPACITY:
            self._take_over()
        self._restore()

    def _take_over(self) -> None:
        for left in self._files.take_over():
            if left not in self._reported:
                self._reported.add(left)
                log.error("journal_left_behind", extra={"journal": str(left.path), "why": left.why})

    def _restore(self) -> None:
        entries, kept = self._files.take_found(self._books.journal.__contains__)
        now = Moment.of(self._clock)
        self._books.restore(self._settlements.restore(entries, now), kept, now)
        for damage in self._files.damage:
            if damage not in self._reported:
                self._reported.add(damage)
                extra = {"bytes": damage.bytes, "kept_in": str(damage.kept_in)}
                log.error("journal_damaged", extra=extra)
        if self._files.problem != self._problem:
            self._problem = self._files.problem
            if self._problem:
                log.error("journal_unwritable", extra={"why": self._problem})
            else:
                log.info("journal_writable_again")
