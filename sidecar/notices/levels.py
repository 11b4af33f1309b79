"""Which level of its quota an org has reached, and when that is news. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cachetools import LRUCache

from sidecar.domain.quota import Quota

NoticeSlot = tuple[str, str]
"""An org and a resource."""

CAPACITY: Final = 10_000


def level_of(quota: Quota, levels: Sequence[int]) -> int:
    """Return the highest of `levels` (percent, ascending) that is reached; 0 for none.

    An unlimited quota and one of 0 have no level: nothing of them is ever used up.
    """
    if quota.limit <= 0:
        return 0
    reached = 0
    for level in levels:
        if quota.used * 100 < level * quota.limit:
            break
        reached = level
    return reached


class ToldLevels:
    """The level last reported of each slot, and its period; the one used longest ago goes first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._told: LRUCache[NoticeSlot, tuple[int, float]] = LRUCache(capacity)

    def is_news(self, slot: NoticeSlot, level: int, reset_at: float) -> bool:
        """Say whether a level differs from what was reported, and remember it if so.

        Within a period a level that is lower is news too: the plan was raised. In a new period
        that no level is reached is news only where one was reported before.
        """
        before, period = self._told.get(slot, (0, reset_at))
        if level == before and (period == reset_at or level == 0):
            return False
        self._told[slot] = (level, reset_at)
        return True

    def forget(self, slot: NoticeSlot) -> None:
        """Forget a report that did not arrive."""
        self._told.pop(slot, None)
