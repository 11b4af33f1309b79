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
    before = watch.lost()
    time.sleep(0.1)  # noqa: ASYNC251 - the stall
    assert watch.lost() - before > 0.1 - TICK_SECONDS - 0.01
    await asyncio.sleep(2 * TICK_SECONDS)
    assert watch.lost() - before > 0.1 - TICK_SECONDS - 0.01
    assert max(lags) > 0.1 - TICK_SECONDS - 0.01
    watch.close()


async def test_a_closed_watch_measures_no_more() -> None:
    """Its timer is gone."""
    lags: list[float] = []
    watch = LoopWatch(lags.append)
    watch.close()
    await asyncio.sleep(2 * TICK_SECONDS)
    assert lags == []
