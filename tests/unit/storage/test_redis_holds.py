"""Holds over real Redis servers: of replicas that live, are killed, and lose their Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.domain.holds import HoldRoom
from sidecar.storage import holds_script, redis_attempts, redis_holds
from tests.free_ports import free_port
from tests.redis_server import RedisServer, redis_server
from tests.unit.storage.counting import until
from tests.unit.storage.sharing import SLOT, Replica, answered, sharing


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """Run one Redis."""
    async with redis_server(tmp_path) as running:
        yield running


async def room(
    replica: Replica, hold: int, *, deposit: int = 1, call: str = "call"
) -> HoldRoom | None:
    """Take a hold; say whether it fits."""
    found = await replica.holds.take(SLOT, call, deposit=deposit, hold=hold)
    return None if found is None else found.room


async def test_a_hold_is_taken_beside_those_of_another_replica(server: RedisServer) -> None:
    """By an answer that only the other has had."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.answer = answered(100)
        one.hold(60)
        await one.seen_by(other, 60)
        assert await room(other, 40) is HoldRoom.SHORT
        assert other.told == {}
        assert await room(other, 39) is HoldRoom.FREE
        assert other.told == {"call": 40}


async def test_of_holds_at_once_only_those_that_fit_are_taken(server: RedisServer) -> None:
    """Two replicas, 100 units, a hundred calls of 5 each."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.answer = other.answer = answered(100)
        found = await asyncio.gather(
            *(room(r, 4, call=f"call {n}") for n in range(100) for r in (one, other))
        )
        assert one.held.get(SLOT, 0) + other.held.get(SLOT, 0) == 100
    assert found.count(HoldRoom.FREE) == 20
    assert found.count(HoldRoom.SHORT) == 180


async def test_what_was_refused_names_what_is_left(server: RedisServer) -> None:
    """The quota of the latest answer, less what all hold."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.answer = answered(70)
        one.hold(60)
        await one.seen_by(other, 60)
        found = await other.holds.take(SLOT, "call", deposit=1, hold=20)
        assert found is not None
        assert found.quota is not None
        assert (found.quota.limit, found.quota.used, found.quota.remaining) == (100, 30, 10)


async def test_without_an_answer_a_moment_ago_only_the_deposit_counts(server: RedisServer) -> None:
    """Of the platform, by any replica: an old one says nothing."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        other.answer, other.age = answered(10), holds_script.ANSWER_SECONDS
        assert await room(other, 50, deposit=2) is HoldRoom.UNKNOWN
        assert other.told == {"call": 2}
        await other.seen_by(one, 2)


async def test_units_that_end_are_free_for_others(server: RedisServer) -> None:
    """As soon as the call ends."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.answer = answered(10)
        one.hold(10)
        await one.seen_by(other, 10)
        assert await room(other, 5) is HoldRoom.SHORT
        one.hold(0)
        await one.seen_by(other, 0)
        assert await room(other, 5) is HoldRoom.FREE


async def test_what_is_held_for_long_stays_held(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream lives longer than a hold is believed: it is shown again and again."""
    monkeypatch.setattr(holds_script, "EXPIRY_SECONDS", 0.4)
    monkeypatch.setattr(redis_holds, "RENEW_SECONDS", 0.05)
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.hold(60)
        await one.seen_by(other, 60)
        for _ in range(10):
            await asyncio.sleep(0.1)
            other.holds.changed(SLOT)
            assert other.holds.others(SLOT) == 60


async def test_holds_of_a_killed_replica_vanish(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows them no more: no org is locked by them."""
    monkeypatch.setattr(holds_script, "EXPIRY_SECONDS", 0.4)
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.hold(60)
        await one.seen_by(other, 60)
        assert one.holds._sending is not None
        one.holds._sending.cancel()
        await one.seen_by(other, 0)


async def test_a_replica_that_stops_holds_nothing(server: RedisServer) -> None:
    """At once, not when it is no longer believed."""
    async with sharing(server.url, 2) as other:
        async with sharing(server.url, 1) as one:
            one.hold(60)
            await one.seen_by(other, 60)
        await one.seen_by(other, 0)


async def test_a_call_that_gave_up_holds_nothing(server: RedisServer) -> None:
    """Redis may have taken its hold all the same."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.answer = other.answer = answered(100)
        task = asyncio.ensure_future(room(one, 50))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))

        async def taken() -> HoldRoom | None:
            return await room(other, 99)

        await until(taken, lambda found: found is HoldRoom.FREE)


async def test_platforms_and_orgs_are_apart(server: RedisServer) -> None:
    """One Redis for two of them."""
    async with (
        sharing(server.url, 1, realm="staging") as staging,
        sharing(server.url, 2) as one,
        sharing(server.url, 3) as other,
    ):
        staging.hold(60)
        one.hold(7, ("org_b", "ai_calls"))
        one.hold(5)
        await one.seen_by(other, 5)


async def test_an_absent_redis_costs_no_call_its_time() -> None:
    """There is no answer, and what others hold is not known."""
    async with sharing(f"redis://127.0.0.1:{free_port()}") as one:
        assert await room(one, 5) is None
        assert one.holds.others(SLOT) == 0
        assert one.holds.problem == "Connection refused"


async def test_what_others_held_is_known_for_a_while_without_redis(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And forgotten when they would no longer be believed."""
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.hold(60)
        await one.seen_by(other, 60)
        await server.stop()
        assert await room(other, 5) is None
        assert other.holds.others(SLOT) == 60
        monkeypatch.setattr(redis_holds, "EXPIRY_SECONDS", 0.0)
        assert other.holds.others(SLOT) == 0


async def test_what_is_held_is_shown_again_once_redis_is_back(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started again, and has forgotten all, the script too."""
    monkeypatch.setattr(redis_holds, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(redis_attempts, "LONGEST_PAUSE_SECONDS", 0.1)
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        one.hold(60)
        await one.seen_by(other, 60)
        await server.stop()
        await server.start()
        other.holds._others.clear()
        await one.seen_by(other, 60)


async def test_a_redis_that_hangs_costs_one_wait(server: RedisServer) -> None:
    """The first calls find out, no later one."""
    async with sharing(server.url, timeout=0.05) as one:
        with server.halted():
            assert await asyncio.gather(*(room(one, 5) for _ in range(20))) == [None] * 20
            began = asyncio.get_running_loop().time()
            assert [await room(one, 5) for _ in range(100)] == [None] * 100
            assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_user_without_the_right_counts_and_shares_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rights of an older version: numbers are counted, and the log names the cause once."""
    monkeypatch.setattr(redis_holds, "RETRY_SECONDS", 0.0)
    rights = ("~bb-sidecar:attempts:*", "+incr", "+expire")
    async with redis_server(tmp_path, "--user", "counter", "on", ">pw", *rights) as server:
        with caplog.at_level(logging.INFO, "sidecar"):
            async with sharing(server.url.replace("//", "//counter:pw@")) as one:
                assert [await room(one, 5) for _ in range(2)] == [None, None]
                assert "NOPERM" in one.holds.problem
    events = [record.message for record in caplog.records if record.name == "sidecar.storage"]
    assert events == ["redis_holds_lost"]


async def test_it_shares_again_once_the_user_has_the_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those that settings.md names."""
    monkeypatch.setattr(redis_holds, "RETRY_SECONDS", 0.0)
    settings = (Path(__file__).parents[3] / "docs/settings.md").read_text()
    line = next(line for line in settings.splitlines() if line.startswith("ACL SETUSER"))
    _, _, _, _, _, *rights = line.split()
    old = ("~bb-sidecar:attempts:*", "+incr", "+expire")
    async with redis_server(tmp_path, "--user", "counter", "on", ">pw", *old) as server:
        with caplog.at_level(logging.INFO, "sidecar"):
            async with sharing(server.url.replace("//", "//counter:pw@")) as one:
                assert await room(one, 5) is None
                await server.cli("ACL", "SETUSER", "counter", *rights)
                one.answer = answered(100)

                async def taken() -> HoldRoom | None:
                    return await room(one, 5)

                await until(taken, lambda found: found is HoldRoom.FREE)
                assert one.holds.problem == ""
    events = [record.message for record in caplog.records if record.name == "sidecar.storage"]
    assert events == ["redis_holds_lost", "redis_holds_back"]


async def test_many_orgs_are_shown_in_batches(server: RedisServer) -> None:
    """More than one pipeline takes."""
    slots = [(f"org_{n}", "ai_calls") for n in range(3 * redis_holds._BATCH)]
    async with sharing(server.url, 1) as one, sharing(server.url, 2) as other:
        for slot in slots:
            one.hold(3, slot)

        async def seen() -> int:
            for slot in slots:
                other.holds.changed(slot)
            return sum(other.holds.others(slot) for slot in slots)

        await until(seen, lambda units: units == 3 * len(slots))


async def test_what_is_remembered_of_others_is_bounded(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The org used longest ago is forgotten."""
    monkeypatch.setattr(redis_holds, "CAPACITY", 1)
    async with sharing(server.url, 1) as one:
        one.hold(1, ("org_b", "ai_calls"))
        await room(one, 5)
        assert len(one.holds._others) == 1
