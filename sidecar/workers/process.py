"""One worker, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import Process
from collections import deque
from dataclasses import dataclass
from typing import Final

from sidecar.admin.state import AdminView
from sidecar.domain.quota import Quota
from sidecar.telemetry.snapshot import Snapshot
from sidecar.workers.link import (
    Command,
    Condition,
    Found,
    Link,
    LinkClosedError,
    Message,
    Question,
    WorkerCounts,
    WorkerQuotas,
)

log = logging.getLogger("sidecar.workers")

_ANSWER_SECONDS: Final = 2.0
_LAST_COUNTS_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Pending:
    """A question that has not been answered; `asked_at` by the event loop's clock."""

    question: Question
    asked_at: float
    answer: asyncio.Future[Message | None]


class WorkerProcess:
    """A worker that serves, and what it has reported last.

    It answers in the order in which it was asked. A late answer is kept too, and a worker that ends
    sends its counts unasked.
    """

    def __init__(self, index: int, process: Process, link: Link) -> None:
        """Take a worker that is up, and its end of the link."""
        self.index = index
        self.process = process
        self.condition: Condition | None = None
        self.quotas: tuple[tuple[str, Quota], ...] = ()
        self.counts: list[Snapshot] = []
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._pending: deque[_Pending] = deque()
        self._incoming: list[Snapshot] = []
        self._gone = False
        self._receiving = asyncio.create_task(self._receive(), name=f"link of worker {index}")

    @property
    def silent_seconds(self) -> float:
        """For how long an answer is overdue; 0 while none is."""
        if not self._pending:
            return 0.0
        waited = self._loop.time() - self._pending[0].asked_at
        return waited if waited >= _ANSWER_SECONDS else 0.0

    async def ask(self, question: Question) -> Message | None:
        """Ask, and wait a little for the answer; None from a worker that is gone or stuck.

        One that is stuck is not waited for again, and not asked again what it has not answered.
        """
        if self._gone:
            return None
        stuck = bool(self.silent_seconds)
        if stuck and any(pending.question is question for pending in self._pending):
            return None
        try:
            self._link.post(question)
        except LinkClosedError:
            return None
        pending = _Pending(question, self._loop.time(), self._loop.create_future())
        self._pending.append(pending)
        if not stuck:
            await asyncio.wait((pending.answer,), timeout=_ANSWER_SECONDS)
        return pending.answer.result() if pending.answer.done() else None

    async def order(self, order: Command | Found) -> None:
        """Give an order; a worker that does not answer is reported in the log."""
        if await self.ask(order) is None and not self._gone:
            asked = order.value if isinstance(order, Command) else "policy"
            log.warning("worker_silent", extra={"worker": self.index, "asked": asked})

    async def receive_last_counts(self) -> None:
        """Receive what the worker sent before it ended."""
        await asyncio.wait((self._receiving,), timeout=_LAST_COUNTS_SECONDS)

    def close(self) -> None:
        """Close the link."""
        self._receiving.cancel()
        self._link.close()

    async def _receive(self) -> None:
        try:
            while True:
                self._keep(await self._link.receive())
        except LinkClosedError:
            pass
        finally:
            self._gone = True
            while self._pending:
                self._pending.popleft().answer.set_result(None)

    def _keep(self, message: Message) -> None:
        """Keep what a worker reports, and answer the question that was asked first."""
        match message:
            case WorkerCounts(number, part, last):
                if number == 0:  # the one before may have been cut off by the worker's end
                    self._incoming = []
                self._incoming.append(part)
                if not last:
                    return
                # All at once: with half of the parts exchanged, counters would go backwards.
                self.counts, self._incoming = self._incoming, []
            case Condition():
                self.condition = message
            case WorkerQuotas(known):
                self.quotas = known
            case _:
                pass
        if self._pending and not (
            isinstance(message, WorkerCounts) and self._pending[0].question is not AdminView.COUNTS
        ):
            self._pending.popleft().answer.set_result(message)
