"""One decision for all checks of one request: Envoy may ask again, or at two of its filters.

Everything changes synchronously. A decision that no check waits for any more is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from cachetools import TTLCache

from sidecar.domain.model import AttemptEnd
from sidecar.domain.ports import Clock
from sidecar.frontends.door import Visit
from sidecar.frontends.envoy.checks import CheckName

REMEMBERED_SECONDS: Final = 60.0
"""How long the answer to an allowed check is that of a further check of the same request."""

MOST_BYTES: Final = 32 << 20
"""Of these answers: one names every forged field of its call, so that a client makes it long."""

LEAST_COUNTED: Final = 1024
"""Bytes that an answer counts at least: about what it takes beside itself."""

_OK: Final = 200


class Deciding:
    """A decision under way, or made, and how many checks wait for its answer to be written."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[Visit]) -> None:
        self.task = task
        self.waiting = 0


class SharedChecks:
    """The checks that are being decided, and the answers to those that were allowed."""

    def __init__(self, clock: Clock) -> None:
        self._deciding: dict[CheckName, Deciding] = {}
        self._answers: TTLCache[CheckName, bytes] = TTLCache(
            MOST_BYTES, REMEMBERED_SECONDS, timer=clock.monotonic, getsizeof=_counted
        )

    def answer(self, name: CheckName | None) -> bytes | None:
        """Return what was answered to an earlier check of the same request."""
        return None if name is None else self._answers.get(name)

    def join(self, name: CheckName | None, visit: Coroutine[Any, Any, Visit]) -> Deciding:
        """Wait for the decision on a request: the one under way, or else `visit`."""
        deciding = None if name is None else self._deciding.get(name)
        if deciding is None:
            deciding = Deciding(asyncio.ensure_future(visit))
            if name is not None:
                self._deciding[name] = deciding
        else:
            visit.close()
        deciding.waiting += 1
        return deciding

    def leave(self, name: CheckName | None, deciding: Deciding) -> None:
        """Wait no more: this answer could not be written. Without any other the call is undone."""
        deciding.waiting -= 1
        if deciding.waiting:
            return
        self._forget(name, deciding)
        task = deciding.task
        if not task.done():
            task.cancel()
        elif not task.cancelled() and task.exception() is None:
            task.result().end(0, AttemptEnd.UNREACHED)

    def written(self, name: CheckName | None, deciding: Deciding, answer: bytes) -> None:
        """Close the attempt: its answer is on the way to Envoy. An allowed one is remembered."""
        deciding.waiting -= 1
        self._forget(name, deciding)
        visit = deciding.task.result()
        if visit.answer is not None:
            visit.end(visit.answer.status, AttemptEnd.UNREACHED)
            return
        visit.end(_OK, AttemptEnd.DONE)
        if name is not None:
            self._answers[name] = answer

    def _forget(self, name: CheckName | None, deciding: Deciding) -> None:
        if name is not None and self._deciding.get(name) is deciding:
            del self._deciding[name]


def _counted(answer: bytes) -> int:
    return max(len(answer), LEAST_COUNTED)
