"""Many who ask at the same time share one round."""

from __future__ import annotations

import asyncio

from sidecar.workers.rounds import Rounds


async def test_all_who_come_while_a_round_runs_share_the_next() -> None:
    """Not the one under way: it may have asked too early for them."""
    begun = 0
    go_on = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        await go_on.wait()

    rounds = Rounds(work)
    first = asyncio.create_task(rounds.join())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(rounds.join()) for _ in range(10)]
    await asyncio.sleep(0)
    assert begun == 1
    go_on.set()
    await asyncio.gather(first, *others)
    assert begun == 2
    await rounds.join()
    assert begun == 3


async def test_a_caller_that_goes_away_ends_no_round() -> None:
    """The others wait for it."""
    go_on = asyncio.Event()

    async def work() -> None:
        await go_on.wait()

    rounds = Rounds(work)
    leaving, staying = (asyncio.create_task(rounds.join()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await staying
    assert leaving.cancelled()
