"""The script in a real Redis: the same as its model in Python, whatever is asked of it."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sidecar.domain.holds import HoldRoom, Standing
from sidecar.domain.quota import Quota
from sidecar.storage.holds_script import SCRIPT, ScriptReply, arguments, found
from tests.fakes.holds import HeldSlot
from tests.redis_server import redis_server
from tests.unit.storage.sharing import answered


def quota(chance: random.Random) -> Quota | None:
    """Make an answer of the platform: of one period or another, of one limit or none."""
    if chance.random() < 0.3:
        return None
    limit = chance.choice((100, 100, 100, 120, -1))
    used = chance.randrange(100)
    left = -1 if limit < 0 else limit - used
    ends = int(time.time()) + chance.choice((-100, 10**6, 10**6, 2 * 10**6))
    return Quota("ai_calls", limit, used, left, "month", ends // 100 * 100)


@pytest.mark.parametrize("seed", range(5))
async def test_it_does_what_its_model_does(seed: int, tmp_path: Path) -> None:
    """Three replicas, each with what it holds, has paid and was answered."""
    chance = random.Random(seed)  # noqa: S311 - what is asked next is no secret
    model = HeldSlot()
    async with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:
        for step in range(200):
            # No age is near the one from which an answer is old: time passes between the two.
            age = chance.choice((0.0, 1.0, 2.0, 9.0))
            standing = Standing(chance.randrange(40), chance.randrange(9), quota(chance), age)
            takes = [
                (chance.randrange(3), chance.choice((0, 5, 30))) for _ in range(chance.randrange(4))
            ]
            name = chance.choice("abc")
            others, answer, rooms = model.run(name, standing, takes, time.time())
            reply = await client.eval(SCRIPT, 1, "key", *arguments(name, standing, takes))
            it = found("ai_calls", reply)
            assert (it.others, list(it.rooms)) == (others, rooms), step
            if answer is not None and it.quota is not None:
                got, expected = it.quota, answer
                assert (got.limit, got.used, got.reset_at) == (
                    expected.limit,
                    expected.used,
                    expected.reset_at,
                ), step


async def test_a_clock_that_is_set_back_locks_no_org(tmp_path: Path) -> None:
    """What a killed replica held and the latest answer are believed no longer than if new."""
    async with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:
        ahead = round(time.time() * 1000) + 3_600_000
        text = f"100 100 0 {ahead} {ahead} month"
        await client.hset("key", mapping={"killed": f"60 {ahead}", "answer": text})
        nothing, free = Standing(0, 0, None, 0.0), Standing(0, 0, answered(100), 0.0)
        before = found(
            "ai_calls", await client.eval(SCRIPT, 1, "key", *arguments("me", nothing, []))
        )
        assert before.others == 60
        units, ends = (await client.hget("key", "killed") or b"").split()
        assert (units, int(ends) < ahead - 3_500_000) == (b"60", True)
        after = found(
            "ai_calls", await client.eval(SCRIPT, 1, "key", *arguments("me", free, [(1, 9)]))
        )
        assert after.rooms == (HoldRoom.FREE,)


def test_what_is_no_reply_of_the_script_is_an_error() -> None:
    """The key may be used by another program."""
    with pytest.raises(ValueError, match="for a hold"):
        found("ai_calls", [b"x"])
    with pytest.raises(ValueError, match="for a hold"):
        found("ai_calls", [b"0", b"", [7]])


def test_a_reply_names_the_quota() -> None:
    """With what is left of it."""
    reply = [b"7", b"100 30 10 1790000000 0 calendar month", [0, 1, 2]]
    quota = Quota("ai_calls", 100, 30, 10, "calendar month", 1_790_000_000.0)
    assert found("ai_calls", reply) == ScriptReply(
        7, quota, (HoldRoom.SHORT, HoldRoom.FREE, HoldRoom.UNKNOWN)
    )
    assert found("ai_calls", [b"0", b"", []]).quota is None


def test_arguments_name_all_that_is_known() -> None:
    """Ages in milliseconds: the clock is that of Redis."""
    words = arguments("me", Standing(5, 2, answered(70), 1.5), [(1, 30)])
    assert words[:3] == ["me", "5", "2"]
    assert words[5].split() == ["100", "30", "70", str(int(answered(70).reset_at)), "1500", "month"]
    assert words[6:] == ["1", "30"]
    assert arguments("me", Standing(0, 0, None, 0.0), [])[5:] == [""]
