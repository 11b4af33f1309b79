"""A door: each visit ends once, and its request IDs are its own."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

from sidecar.domain.model import AttemptEnd, Call, Decision, RequestIdOrigin
from sidecar.domain.ports import BodySource
from sidecar.domain.usage import Tokens, Usage
from sidecar.frontends.bodies import BodyTooSlowError
from sidecar.frontends.door import SettleError
from sidecar.frontends.questions import CallQuestion
from tests.fakes.doors import OneDoor
from tests.fakes.engines import AllowingEngine, HeldEngine, SettlingEngine, UnsettlingEngine
from tests.unit.admission.usage_rules import terms

TERMS = terms()
CALL = Call("POST", "/chat", "", [], "id", RequestIdOrigin.GENERATED)


class NoBody:
    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        return b""


class LateEngine(AllowingEngine):
    """Waits for a body that does not come."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        raise BodyTooSlowError("late")


async def test_a_visit_ends_once() -> None:
    """Its adapter may say so on several ways out."""
    doors = OneDoor(engine := AllowingEngine())
    visit = await doors.one.enter(CALL, NoBody())
    visit.begin()
    assert doors.one.drain.inflight == 1
    visit.end(200)
    visit.end(500, AttemptEnd.FAILED)
    assert (engine.executions, doors.one.drain.inflight) == ([AttemptEnd.DONE], 0)
    assert doors.observer.told == [("forwarded", "route"), ("finished", "within_quota", 200)]


async def test_a_late_body_is_408() -> None:
    """Nothing was charged."""
    visit = await OneDoor(LateEngine()).one.enter(CALL, NoBody())
    assert visit.answer is not None
    assert visit.answer.status == 408


async def test_a_call_that_is_cancelled_meanwhile_is_under_way_no_longer() -> None:
    """No answer was given."""
    doors = OneDoor(engine := HeldEngine())
    task = asyncio.ensure_future(doors.one.enter(CALL, NoBody()))
    await engine.asked.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert doors.one.drain.inflight == 0
    assert doors.observer.of("finished") == [("bad_request", 0)]


async def test_books_that_fail_do_not_break_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The product has answered; the fault is logged."""
    doors = OneDoor(UnsettlingEngine())
    visit = await doors.one.enter(CALL, NoBody())
    with caplog.at_level(logging.ERROR):
        visit.end(200)
    assert [record.message for record in caplog.records] == ["fault"]
    assert doors.one.drain.inflight == 0


@pytest.mark.parametrize("given", [None, b"", b"two words", b"x" * 129, b"\xff"])
def test_a_request_id_that_is_none_is_made(given: bytes | None) -> None:
    """Each call gets another one."""

    async def made() -> tuple[str, RequestIdOrigin]:
        door = OneDoor(AllowingEngine()).one
        door.request_id(given, trusted=True)
        return door.request_id(given, trusted=True)

    assert asyncio.run(made()) == ("nonce-2", RequestIdOrigin.GENERATED)


def test_a_call_is_decided_by_the_names_that_a_product_may_read() -> None:
    """Envoy passes a field with an underscore on."""
    door = OneDoor(AllowingEngine()).one
    question = CallQuestion("POST", "/chat?a", [(b"x_units", b"100")])
    call = door.asked_about(question, None, trusted=False)
    assert (call.path, call.query, call.headers) == ("/chat", "a", [(b"x-units", b"100")])


async def test_a_visit_settles_by_what_it_is_given_of_the_answer() -> None:
    """The usage reaches the engine with the end of the attempt."""
    doors = OneDoor(engine := SettlingEngine(TERMS))
    visit = await doors.one.enter(CALL, NoBody())
    assert visit.settled is not None
    visit.settled.began(200, [])
    visit.settled.end(b'{"usage":{"prompt_tokens":7,"completion_tokens":3}}')
    visit.end(200)
    assert engine.usages == [Usage(Tokens(7, 0, 0, 3), None, None, 0, None)]


async def test_a_visit_without_usage_has_nothing_to_settle() -> None:
    """Its deposit is its cost."""
    doors = OneDoor(engine := AllowingEngine())
    visit = await doors.one.enter(CALL, NoBody())
    assert visit.settled is None
    visit.end(200)
    assert engine.usages == [None]


@pytest.mark.parametrize("units", [-1, 1.5, True, "3", None, 2**53])
async def test_a_cost_that_cannot_be_one_is_an_error(units: Any) -> None:
    """It names the value, and what to give."""
    visit = await OneDoor(SettlingEngine(TERMS)).one.enter(CALL, NoBody())
    said = f"settle({units!r}): give the whole cost of the call as a whole number"
    with pytest.raises(SettleError, match=re.escape(said)):
        visit.settle(units)


async def test_a_cost_that_the_product_names_takes_the_place_of_what_was_read() -> None:
    """What was read still counts in the metrics of tokens; nothing is missing."""
    doors = OneDoor(engine := SettlingEngine(TERMS))
    visit = await doors.one.enter(CALL, NoBody())
    visit.settle(9)
    visit.end(500)
    assert engine.usages == [Usage(None, None, None, 0, None, 9)]
    assert engine.executions == [AttemptEnd.FAILED]
