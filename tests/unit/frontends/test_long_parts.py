"""A long part of an answer holds no other call up, and is read as a short one is."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain.model import AttemptEnd, Call, RequestIdOrigin
from sidecar.domain.usage import Tokens
from sidecar.frontends.long_parts import AT_ONCE, read_part
from tests.fakes.doors import OneDoor
from tests.fakes.engines import SettlingEngine
from tests.unit.admission.usage_rules import terms

CALL = Call("POST", "/chat", "", [], "id", RequestIdOrigin.GENERATED)
USAGE = b'"usage":{"prompt_tokens":7,"completion_tokens":3}}'


class NoBody:
    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        return b""


async def test_a_long_part_is_read_in_turns_with_other_work() -> None:
    """The loop goes on in between; every byte passes, and the usage is found."""
    visit = await OneDoor(SettlingEngine(terms())).one.enter(CALL, NoBody())
    assert visit.settled is not None
    visit.settled.began(200, [])
    data = b'{"text":"' + b"word " * 200_000 + b'",' + USAGE
    iterations = 0

    async def count() -> None:
        nonlocal iterations
        while True:
            iterations += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await read_part(visit, visit.settled, data, last=True) == data
    counting.cancel()
    assert iterations > 2  # a turn is a time: the faster the machine, the fewer there are
    end, usage = visit.settled.result(AttemptEnd.DONE)
    assert usage is not None
    assert (end, usage.tokens, usage.missing) == (AttemptEnd.DONE, Tokens(7, 0, 0, 3), None)


async def test_a_short_part_waits_for_nothing() -> None:
    """It is read at once."""
    visit = await OneDoor(SettlingEngine(terms())).one.enter(CALL, NoBody())
    assert visit.settled is not None
    reading = read_part(visit, visit.settled, b"x" * AT_ONCE, last=False)
    with pytest.raises(StopIteration) as ended:
        reading.send(None)
    assert ended.value.value == b"x" * AT_ONCE
