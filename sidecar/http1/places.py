"""Places for bodies that are waited for: bounded in size and time, and the newest come first.

Any client can begin a request and send no more. If such requests kept their places, a few of them
would keep every other client out. So where there is no room for a new one, the one that has waited
longest ends: an honest client's body follows its head within milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator


class CrowdedOutError(Exception):
    """A newer request needed the place."""


class Places:
    """Room for `room` units of waiting, each request for at most `seconds`."""

    def __init__(self, room: int, seconds: float) -> None:
        self._left = room
        self._seconds = seconds
        self._waiting: OrderedDict[asyncio.Timeout, int] = OrderedDict()

    @contextlib.asynccontextmanager
    async def take(self, size: int = 1) -> AsyncIterator[None]:
        """Hold `size` units while the block waits for a body; never more than the whole room.

        Raises TimeoutError when the time is over, CrowdedOutError when a newer one came.
        """
        while size > self._left and self._waiting:
            self._end_oldest()
        place = asyncio.timeout(self._seconds)
        try:
            async with place:
                self._waiting[place] = size
                self._left -= size
                yield
        except TimeoutError:
            if place not in self._waiting:
                raise CrowdedOutError from None
            raise
        finally:
            if place in self._waiting:
                self._left += self._waiting.pop(place)

    def _end_oldest(self) -> None:
        place, size = self._waiting.popitem(last=False)
        self._left += size
        if not place.expired():  # else its own time has just ended it
            place.reschedule(asyncio.get_running_loop().time())
