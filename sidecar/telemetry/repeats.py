"""One line for an event that repeats, and how many were held back since."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from cachetools import LRUCache
from typing_extensions import override

QUIET_SECONDS: Final = 10.0
_MAX_EVENTS: Final = 1024


class RepeatFilter(logging.Filter):
    """Lets an event with its key through at most once in 10 s; the next one says how many it held.

    The key is the field `repeat_key` where a record has one, else all its text fields. Records
    below WARNING without a `repeat_key` are no alarm, and always pass. Bounded: past 1,024 events
    the one seen longest ago is forgotten, and would pass at once.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: LRUCache[tuple[str, ...], tuple[float, int]] = LRUCache(_MAX_EVENTS)

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        key = _key(record)
        if key is None:
            return True
        now = self._monotonic()
        quiet_until, held = self._seen.get(key, (0.0, 0))
        if key in self._seen and now < quiet_until:
            self._seen[key] = (quiet_until, held + 1)
            return False
        if held:
            record.held_back = held
        self._seen[key] = (now + QUIET_SECONDS, 0)
        return True


def _key(record: logging.LogRecord) -> tuple[str, ...] | None:
    named = record.__dict__.get("repeat_key")
    if named is not None:
        return (record.name, str(record.msg), str(named))
    if record.levelno < logging.WARNING:
        return None
    texts = (
        value
        for name, value in record.__dict__.items()
        if isinstance(value, str) and name not in _SELF_EVIDENT
    )
    return (record.name, str(record.msg), *texts)


_SELF_EVIDENT: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
