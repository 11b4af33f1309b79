"""Turns at the event loop for work that is cut in slices, so that no body holds it for long."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """One slice of one piece of work in each iteration of the loop, in order of arrival.

    The first slice of each is done at once: work that ends in it neither waits nor suspends its
    caller. A slice is short, so many bodies that begin at the same moment hold nothing up either.
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[Generator[None, None, Any], asyncio.Future[Any]]] = deque()
        self._scheduled = False

    async def run(self, work: Generator[None, None, T]) -> T:
        """Run work to its end; return what it returns, raise what it raises.

        Cancelled, it closes the work and leaves the queue at once.
        """
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[T] = loop.create_future()
        self._queue.append((work, ended))
        self._schedule(loop)
        try:
            return await ended
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):  # it had just come to its end
                self._queue.remove((work, ended))
            work.close()
            raise

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and self._queue:
            self._scheduled = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        """Do one slice for the first in the queue, and put it at the end."""
        self._scheduled = False
        while self._queue:
            work, ended = self._queue.popleft()
            if ended.cancelled():  # its caller has yet to run
                continue
            try:
                next(work)
            except StopIteration as end:
                ended.set_result(end.value)
            except Exception as error:  # noqa: BLE001 - raised again where the work was given
                ended.set_exception(error)
            else:
                self._queue.append((work, ended))
            break
        self._schedule(asyncio.get_running_loop())
