"""One call asks, and the others wait for what it was answered."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.admission.first_answers import FirstAnswers

SLOT = ("org", "ai_calls")


async def test_the_first_asks_and_the_others_wait() -> None:
    """Until it was answered; then all go on."""
    firsts, steps = FirstAnswers(), list[str]()

    async def call(name: str) -> None:
        async with firsts.turn(SLOT, 10.0) as first:
            steps.append(f"{name} {first}")
            await asyncio.sleep(0)
            steps.append(f"{name} ends")

    await asyncio.gather(call("a"), call("b"), call("c"))
    assert steps[:2] == ["a True", "a ends"]
    assert steps[2:4] == ["b False", "c False"]


async def test_none_waits_longer_than_it_may() -> None:
    """The one that asks may get no answer."""
    firsts = FirstAnswers()
    async with firsts.turn(SLOT, 10.0), firsts.turn(SLOT, 0.001) as first:
        assert not first


async def test_a_call_that_fails_lets_the_next_ask() -> None:
    """It was cancelled, for instance."""
    firsts = FirstAnswers()
    with pytest.raises(ValueError, match="lost"):
        async with firsts.turn(SLOT, 10.0):
            raise ValueError("lost")
    async with firsts.turn(SLOT, 10.0) as first:
        assert first


async def test_orgs_do_not_wait_for_each_other() -> None:
    """Each has a quota of its own."""
    firsts = FirstAnswers()
    async with firsts.turn(SLOT, 10.0), firsts.turn(("other", "ai_calls"), 10.0) as first:
        assert first
