"""One worker, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sidecar.workers.link import Ask, Found, Link, LinkClosedError, Look, Message

log = logging.getLogger("sidecar.workers")

_ANSWER_SECONDS: Final = 2.0


class WorkerProcess:
    """One worker, as its parent sees it. Questions go one at a time."""

    def __init__(self, index: int, process: asyncio.subprocess.Process, link: Link) -> None:
        self.index = index
        self.process = process
        self.last: Look | None = None
        self._link = link
        self._asking = asyncio.Lock()
        self._receiving: asyncio.Task[Message] | None = None
        self._owed = 0

    async def ask(self, ask: Ask | Found) -> Message | None:
        """Ask, and wait a little for the answer; None from a worker that is gone or stuck.

        An answer that comes too late is passed over by the next question: they come in order.
        """
        async with self._asking:
            self._owed += 1
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._link.send(ask)
                    while True:
                        answer = await self._receive()
                        self._owed -= 1
                        if not self._owed:
                            return answer
            except (LinkClosedError, TimeoutError):
                return None

    async def _receive(self) -> Message:
        """Receive in a task that outlives who waits, so that no message is read in halves."""
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._link.receive())
            self._receiving.add_done_callback(_heard)
        await asyncio.wait((self._receiving,))
        received, self._receiving = self._receiving, None
        return received.result()

    async def tell(self, ask: Ask | Found) -> None:
        """Ask for what is answered by being done; one that does not answer is told in the log."""
        if await self.ask(ask) is None:
            asked = ask.value if isinstance(ask, Ask) else "policy"
            log.warning("worker_silent", extra={"worker": self.index, "asked": asked})

    async def look(self) -> None:
        """Bring what is known of the worker up to date."""
        answer = await self.ask(Ask.LOOK)
        self.last = answer if isinstance(answer, Look) else None

    def close(self) -> None:
        """Let go of the link."""
        if self._receiving is not None:
            self._receiving.cancel()
        self._link.close()


def _heard(received: asyncio.Task[Message]) -> None:
    """Take note of how it ended, though maybe nobody waits for it any more."""
    if not received.cancelled():
        received.exception()
