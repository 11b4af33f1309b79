"""Which deliveries were taken before, so that none takes effect twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

CAPACITY: Final = 10_000


class SeenDeliveries:
    """Digests of bodies, each kept for `seconds`, at most `capacity`: the oldest goes first."""

    def __init__(self, seconds: float, capacity: int = CAPACITY) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        """Count what is remembered."""
        return len(self._seen)

    def first_time(self, body: bytes, now: float) -> bool:
        """Remember a body at `now` (monotonic seconds); False when it was seen within the time."""
        while self._seen and next(iter(self._seen.values())) <= now - self._seconds:
            self._seen.popitem(last=False)
        digest = hashlib.sha256(body).digest()
        if digest in self._seen:
            return False
        self._seen[digest] = now
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return True
