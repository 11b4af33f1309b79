"""One reading of both clocks, taken once per step so that a book sees a single time."""

from __future__ import annotations

from sidecar.ports import Clock
from sidecar.values import value


@value
class Moment:
    """`monotonic` for waits, budgets and caches; `unix` for tokens and quota periods. Seconds."""

    monotonic: float
    unix: float

    @classmethod
    def of(cls, clock: Clock) -> Moment:
        """Read both clocks."""
        return cls(clock.monotonic(), clock.time())


Slot = tuple[str, str]
"""What the books are kept by: org and resource."""
