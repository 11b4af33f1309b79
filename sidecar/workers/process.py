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

    async def ask(self, ask: Ask | Found) -> Message | None:
        """Ask, and wait a little for the answer; None from a worker that is gone or stuck."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._asking:
                await self._link.send(ask)
                return await self._link.receive()
        except (LinkClosedError, TimeoutError):
            return None

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
        self._link.close()
