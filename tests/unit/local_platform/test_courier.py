"""The courier: attempts over real sockets, in the background, over a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from sidecar.local_platform import LocalPlatform
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme
from tests.unit.local_platform.hooks import Receiver


async def owe_a_test(platform: LocalPlatform, url: str) -> None:
    """Register an endpoint and ask for a test delivery."""
    async with aiohttp.ClientSession() as session:
        caller = acme.Caller(session, platform.url)
        _, endpoint = await caller.as_product(
            "POST", "/v1/webhooks", {"url": url, "event_types": ["*"]}
        )
        await caller.as_product("POST", f"/v1/webhooks/{endpoint['id']}/test")


async def test_deliveries_go_out_by_themselves(platform: LocalPlatform, receiver: Receiver) -> None:
    """Nobody has to ask for the round."""
    await owe_a_test(platform, receiver.url)

    async with asyncio.timeout(10):
        while not receiver.received:  # noqa: ASYNC110  # another program's memory, in real life
            await asyncio.sleep(0.01)


async def test_a_failing_endpoint_is_tried_three_times_by_the_clock(
    platform: LocalPlatform, receiver: Receiver, clock: TurnedClock
) -> None:
    """At once, after 5 seconds, after 10 more, and never again."""
    receiver.status = 503
    await owe_a_test(platform, receiver.url)
    seen = []
    for wait in (0, 5, 10, 15, 3600):
        clock.advance(wait)
        await platform.deliver_due()
        seen.append(len(receiver.received))

    assert seen == [1, 2, 3, 3, 3]


async def test_a_retry_sends_the_same_bytes(
    platform: LocalPlatform, receiver: Receiver, clock: TurnedClock
) -> None:
    """So that a receiver can know it again."""
    receiver.status = 500
    await owe_a_test(platform, receiver.url)
    await platform.deliver_due()
    clock.advance(5)
    await platform.deliver_due()

    first, second = receiver.received
    assert (first.raw, first.signature) == (second.raw, second.signature)


async def test_a_redirect_is_not_followed(platform: LocalPlatform, receiver: Receiver) -> None:
    """It is a failure like any other status from 300 on."""
    receiver.status = 307
    await owe_a_test(platform, receiver.url)

    await platform.deliver_due()

    assert len(receiver.received) == 1


async def test_a_dead_endpoint_is_a_failed_attempt(
    platform: LocalPlatform, caller: acme.Caller
) -> None:
    """Nobody listens: the delivery says so."""
    await owe_a_test(platform, "http://127.0.0.1:1/hook")
    await platform.deliver_due()

    _, body = await caller.read("/v1/dev/webhook-deliveries")
    assert body["deliveries"][0]["last_status"] == 0
    assert body["deliveries"][0]["last_error"].startswith("cannot connect: ")


async def test_what_is_owed_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    """A delivery that failed before the end is tried again after the next start."""
    clock = TurnedClock()
    file = tmp_path / "platform.db"
    receiver.status = 500
    async with LocalPlatform(seed=acme.seed(), db=file, clock=clock) as platform:
        await owe_a_test(platform, receiver.url)
        await platform.deliver_due()
    clock.advance(5)
    receiver.status = 200

    async with LocalPlatform(seed=acme.seed(), db=file, clock=clock) as platform:
        await platform.deliver_due()

    assert len(receiver.received) == 2


async def test_an_endpoint_that_hangs_keeps_no_other_waiting(
    platform: LocalPlatform, receiver: Receiver
) -> None:
    """Many deliveries to it are under way, and one to another goes out at once."""
    hanging = Receiver()
    hanging.gate.clear()
    await hanging.start()
    for _ in range(40):
        await owe_a_test(platform, hanging.url)

    await owe_a_test(platform, receiver.url)

    async with asyncio.timeout(10):
        while not receiver.received:  # noqa: ASYNC110  # another program's memory, in real life
            await asyncio.sleep(0.01)
    assert len(hanging.received) <= 4
    hanging.gate.set()
    await platform.deliver_due()
    assert len(hanging.received) == 40
    await hanging.close()


async def test_a_book_that_cannot_be_used_is_tried_again(
    platform: LocalPlatform, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The courier says so and goes on when the book is back."""
    store = platform._up.store
    store.run("ALTER TABLE webhooks RENAME TO lost")
    platform._up.webhooks.owing.set()
    async with asyncio.timeout(10):
        while "cannot be used" not in caplog.text:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)
    store.run("ALTER TABLE lost RENAME TO webhooks")
    await owe_a_test(platform, receiver.url)

    async with asyncio.timeout(10):
        while not receiver.received:  # noqa: ASYNC110  # another program's memory, in real life
            await asyncio.sleep(0.01)
