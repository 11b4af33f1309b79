"""Time that our own loop loses is measured."""

from __future__ import annotations

import asyncio
import time

from sidecar.app.loop_watch import TICK_SECONDS, LoopWatch


async def test_the_watch_counts_what_a_stall_took() -> None:
    """Also before its own timer came to run again."""
    lags: list[float] = []
    watch = LoopWatch(lags.append)
    await asyncio.sleep(2 * TICK_SECONDS)
    since = asyncio.get_running_loop().time()
    assert watch.lost(since) == 0.0
    time.sleep(0.1)  # noqa: ASYNC251 - the stall
    assert watch.lost(since) > 0.1 - TICK_SECONDS - 0.01
    await asyncio.sleep(2 * TICK_SECONDS)
    assert watch.lost(since) > 0.1 - TICK_SECONDS - 0.01
    assert max(lags) > 0.1 - TICK_SECONDS - 0.01
    watch.close()


async def test_a_stall_before_is_not_counted_since() -> None:
    """A peer that is asked after it has all of its time."""
    loop = asyncio.get_running_loop()
    watch = LoopWatch(lambda _: None)
    time.sleep(0.1)  # noqa: ASYNC251 - the stall
    await asyncio.sleep(2 * TICK_SECONDS)
    assert watch.lost(loop.time()) == 0.0
    assert watch.lost(loop.time() - 1.0) > 0.1 - TICK_SECONDS - 0.01
    watch.close()


async def test_a_closed_watch_measures_no_more() -> None:
    """Its timer is gone."""
    lags: list[float] = []
    watch = LoopWatch(lags.append)
    watch.close()
    await asyncio.sleep(2 * TICK_SECONDS)
    assert lags == []
