"""Counting what is under way, and waiting until nothing is."""

from __future__ import annotations

import asyncio

from sidecar.proxy.drain import Drain


async def test_a_drain_with_nothing_under_way_ends_at_once() -> None:
    """Nothing is waited for."""
    drain = Drain()
    drain.begin()
    assert await drain.wait(0.0)


async def test_a_drain_ends_with_the_last_request() -> None:
    """Not before it."""
    drain = Drain()
    drain.inflight += 2
    drain.begin()
    drain.leave()
    assert not drain.idle.is_set()
    drain.leave()
    assert await drain.wait(10.0)


async def test_a_drain_says_that_its_time_was_not_enough() -> None:
    """What is still under way is then cut off."""
    drain = Drain()
    drain.inflight += 1
    drain.begin()
    assert not await drain.wait(0.0)


async def test_a_hurried_drain_does_not_claim_to_be_whole() -> None:
    """A second signal ends the wait with requests under way."""
    drain = Drain()
    drain.inflight += 1
    drain.begin()
    waiting = asyncio.ensure_future(drain.wait(10.0))
    await asyncio.sleep(0)
    drain.hurry()
    assert not await waiting


def test_requests_that_end_before_a_drain_do_not_end_it() -> None:
    """The count may be zero many times before."""
    drain = Drain()
    drain.inflight += 1
    drain.leave()
    assert not drain.idle.is_set()


async def test_what_comes_once_nothing_is_under_way_makes_no_drain_less_whole() -> None:
    """It is refused; a close waits for it as well."""
    drain = Drain()
    drain.inflight += 1
    drain.begin()
    drain.leave()
    drain.inflight += 1
    assert await drain.wait(10.0)
    closing = asyncio.ensure_future(drain.wait(10.0))
    await asyncio.sleep(0)
    assert not closing.done()
    drain.leave()
    assert await closing


async def test_a_close_after_a_hurried_drain_waits_again() -> None:
    """For what it cuts off to end."""
    drain = Drain()
    drain.inflight += 1
    drain.begin()
    drain.hurry()
    assert not await drain.wait(10.0)
    closing = asyncio.ensure_future(drain.wait(10.0))
    await asyncio.sleep(0)
    assert not closing.done()
    drain.leave()
    assert await closing
