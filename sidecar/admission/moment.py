"""One reading of both clocks, taken once per step so that a book sees a single time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.domain.ports import Clock
from sidecar.domain.quota import Quota


@dataclass(init=False, slots=True, unsafe_hash=True)
class Moment:
    """`monotonic` for waits, budgets and caches; `unix` for tokens and quota periods. Seconds."""

    monotonic: Final[float]
    unix: Final[float]

    def __init__(self, monotonic: float, unix: float) -> None:
        self.monotonic = monotonic
        self.unix = unix

    @classmethod
    def of(cls, clock: Clock) -> Moment:
        """Read both clocks."""
        return cls(clock.monotonic(), clock.time())


UNSURE_SECONDS: Final = 600.0
"""How long paid units are good whose period had ended by our clock when the platform counted them:
then our clock is ahead of the platform's, or its `reset_at` is stale, and the end is not known."""


def good_until(quota: Quota, now: float) -> float:
    """Return when units end that were counted just now, in the answer with `quota`; Unix seconds.

    What the platform has just counted is paid, whatever our clock says of its period.
    """
    return quota.reset_at if quota.reset_at > now else now + UNSURE_SECONDS
