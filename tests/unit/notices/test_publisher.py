from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from sidecar.domain.errors import SidecarError, TransientError
from sidecar.domain.quota import Quota
from sidecar.notices.publisher import QUEUED, Publisher
from sidecar.notices.wording import Notice
from tests.unit.notices.test_levels import quota


class Board:
    """Where notices go; fails as told first. Also the observer, and the wait between tries."""

    def __init__(self, *failures: SidecarError, levels: Sequence[int] = (80, 100)) -> None:
        self._failures = list(failures)
        self.levels = levels
        self.notices: list[Notice] = []
        self.outcomes: list[str] = []
        self.waits: list[float] = []
        self.publisher = Publisher(
            self.publish,
            product=lambda: "acme-notes",
            levels=lambda: self.levels,
            observer=self,
            sleep=self.sleep,
        )

    async def publish(self, notice: Notice) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.notices.append(notice)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def notice_ended(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    async def see(self, quota: Quota, org_id: str = "org_acme") -> None:
        """Tell of a quota, and let the task do its work."""
        self.publisher.seen(org_id, quota)
        await self.work()

    async def work(self, steps: int = 5) -> None:
        """Let the task go on for so many steps of the loop."""
        for _ in range(steps):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(board: Board) -> AsyncIterator[Board]:
    """Run the publisher's task for a block."""
    task = asyncio.create_task(board.publisher.run())
    try:
        yield board
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_each_level_is_published_once() -> None:
    """However often it is seen."""
    async with running(Board()) as board:
        for used in (19, 20, 21, 24, 25, 25):
            await board.see(quota(used))
    assert [notice.meta["level_percent"] for notice in board.notices] == [80, 100]


async def test_a_raised_plan_resolves_the_record() -> None:
    """It is the same record."""
    async with running(Board()) as board:
        await board.see(quota(25))
        await board.see(quota(25, limit=1000))
    assert [notice.status for notice in board.notices] == ["active", "resolved"]


async def test_without_levels_nothing_is_published() -> None:
    """A policy without `notices`."""
    async with running(Board(levels=())) as board:
        await board.see(quota(25))
    assert board.outcomes == []


async def test_a_platform_that_is_down_is_left_alone_for_a_while() -> None:
    """And the notice goes out at the next look."""
    async with running(Board(TransientError("down"))) as board:
        await board.see(quota(20))
        assert board.waits == [30.0]
        await board.see(quota(21))
    assert board.outcomes == ["failed", "published"]


async def test_an_org_that_the_key_is_not_of_is_not_tried_again() -> None:
    """A refusal does not pass by waiting; other orgs go on."""
    async with running(Board(SidecarError("403"))) as board:
        await board.see(quota(20))
        await board.see(quota(25))
        await board.see(quota(20), "org_b")
    assert board.outcomes == ["refused", "published"]


async def test_the_queue_is_bounded() -> None:
    """What has no room is dropped, told, and news again later."""
    board = Board()
    for number in range(QUEUED + 1):
        board.publisher.seen(f"org_{number}", quota(20))
    assert (len(board.publisher._waiting), board.outcomes) == (QUEUED, ["dropped"])
    async with running(board):
        await board.work(2 * QUEUED)
        await board.see(quota(20), f"org_{QUEUED}")
    assert board.outcomes.count("published") == QUEUED + 1


async def test_what_waits_is_published_as_it_is_last() -> None:
    """Two levels reached while the platform was slow are one record."""
    board = Board()
    board.publisher.seen("org_acme", quota(20))
    board.publisher.seen("org_acme", quota(25))
    async with running(board):
        await board.work()
    assert [notice.meta["level_percent"] for notice in board.notices] == [100]
