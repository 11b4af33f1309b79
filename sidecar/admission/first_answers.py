"""Of calls that get nothing back, one at a time asks about an org whose quota is not known.

A call whose hold does not fit is refused before its deposit, by what is known: after it, a deposit
could not be given back under a key that another process may have charged too. So the first call
asks the platform, and the calls that come meanwhile wait for what it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.domain.model import Slot


class FirstAnswers:
    """Who asks now, by org and resource. Bounded by the calls under way."""

    def __init__(self) -> None:
        self._asking: dict[Slot, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self, slot: Slot, seconds: float) -> AsyncIterator[bool]:
        """Wait for the call that asks, once, for up to so many seconds; else ask in the block.

        Says whether this call asks.
        """
        asking = self._asking.get(slot)
        if asking is not None:
            await asyncio.wait((asking,), timeout=seconds)
            yield False
            return
        own = self._asking[slot] = asyncio.get_running_loop().create_future()
        try:
            yield True
        finally:
            del self._asking[slot]
            own.set_result(None)
