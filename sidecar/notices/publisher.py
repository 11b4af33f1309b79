"""Publishes notices in the background: a hook that only looks, a bounded queue, one task.

The hook runs where the platform's answers are learned, so it does arithmetic and nothing else.
What cannot be published is counted and dropped: a notice is worth no request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from cachetools import LRUCache

from sidecar.domain.errors import SidecarError, TransientError
from sidecar.domain.ports import NoticeObserver
from sidecar.domain.quota import Quota
from sidecar.notices.levels import NoticeSlot, ToldLevels, level_of
from sidecar.notices.wording import Notice, notice_of

_log = logging.getLogger("sidecar.notices")

QUEUED: Final = 1000
"""Notices that wait, one for each org and resource."""

_PAUSE: Final = 30.0
"""Seconds between two tries while the platform does not take notices."""

_REFUSED: Final = 1000


class Publisher:
    """Owns the queue; `run` is its one task."""

    def __init__(
        self,
        publish: Callable[[Notice], Awaitable[None]],
        *,
        product: Callable[[], str],
        levels: Callable[[], Sequence[int]],
        observer: NoticeObserver,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`publish` raises SidecarError; `levels` are percent, ascending, and empty for none."""
        self._publish = publish
        self._product = product
        self._levels = levels
        self._observer = observer
        self._sleep = sleep
        self._told = ToldLevels()
        self._waiting: OrderedDict[NoticeSlot, tuple[Quota, int]] = OrderedDict()
        self._refused: LRUCache[str, None] = LRUCache(_REFUSED)
        self._some = asyncio.Event()

    def seen(self, org_id: str, quota: Quota) -> None:
        """Look at what the platform answered; queue a notice where a level is news."""
        levels = self._levels()
        if not levels or org_id in self._refused:
            return
        slot = (org_id, quota.resource)
        level = level_of(quota, levels)
        if not self._told.is_news(slot, level, quota.reset_at):
            return
        if slot not in self._waiting and len(self._waiting) >= QUEUED:
            self._told.forget(slot)
            self._observer.notice_ended("dropped")
            return
        self._waiting[slot] = (quota, level)
        self._some.set()

    async def run(self) -> None:
        """Publish what is queued, until cancelled."""
        while True:
            await self._some.wait()
            while self._waiting:
                slot, (quota, level) = self._waiting.popitem(last=False)
                if not await self._out(slot, quota, level):
                    await self._sleep(_PAUSE)
            self._some.clear()

    async def _out(self, slot: NoticeSlot, quota: Quota, level: int) -> bool:
        """Publish one; False where the platform should be left alone for a while."""
        org_id = slot[0]
        try:
            await self._publish(notice_of(org_id, self._product(), quota, level))
        except TransientError as error:
            self._told.forget(slot)  # the next answer about this org makes it news again
            self._observer.notice_ended("failed")
            _log.warning("notice_failed", extra={"problem": str(error), "repeat_key": ""})
            return False
        except SidecarError as error:
            # Not this org's key, most likely: it belongs to one org (contract, Hosts).
            self._refused[org_id] = None
            self._observer.notice_ended("refused")
            _log.warning(
                "notice_refused",
                extra={
                    "org": org_id,
                    "problem": str(error),
                    "hint": "give a bbk_ key with write access to this org, or take out `notices`",
                    "repeat_key": "",
                },
            )
            return True
        self._observer.notice_ended("published")
        return True
