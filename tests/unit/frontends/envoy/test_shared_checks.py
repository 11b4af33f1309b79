"""The memory of answered checks is bounded, in time and in number."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain.model import AttemptEnd, Call, RequestIdOrigin
from sidecar.frontends.envoy import shared_checks
from sidecar.frontends.envoy.checks import CheckName
from sidecar.frontends.envoy.shared_checks import LEAST_COUNTED, REMEMBERED_SECONDS, SharedChecks
from tests.fakes.clock import TurnedClock
from tests.fakes.doors import NoBody, OneDoor
from tests.fakes.engines import AllowingEngine

CALL = Call("POST", "/chat", "", [], "id", RequestIdOrigin.GENERATED)


def name_of(number: int) -> CheckName:
    """Name a request."""
    return b"%d" % number


async def answer(checks: SharedChecks, name: CheckName | None, engine: AllowingEngine) -> None:
    """Decide on a request, and write the answer."""
    deciding = checks.join(name, OneDoor(engine).one.enter(CALL, NoBody()))
    await asyncio.wait((deciding.task,))
    checks.written(name, deciding, b"allowed")


async def test_an_answer_is_kept_for_a_minute() -> None:
    """Then the same ID is another request's."""
    checks = SharedChecks(clock := TurnedClock())
    await answer(checks, name_of(1), AllowingEngine())
    clock.advance(REMEMBERED_SECONDS - 0.1)
    assert checks.answer(name_of(1)) == b"allowed"
    clock.advance(0.1)
    assert checks.answer(name_of(1)) is None


async def test_the_oldest_answers_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of calls holds no more memory."""
    monkeypatch.setattr(shared_checks, "MOST_BYTES", 2 * LEAST_COUNTED)
    checks = SharedChecks(TurnedClock())
    for number in range(3):
        await answer(checks, name_of(number), AllowingEngine())
    kept = [checks.answer(name_of(number)) for number in range(3)]
    assert kept == [None, b"allowed", b"allowed"]


async def test_answers_that_are_too_old_are_dropped() -> None:
    """With the next one, so that an idle hour leaves nothing behind."""
    checks = SharedChecks(clock := TurnedClock())
    for number in range(3):
        await answer(checks, name_of(number), AllowingEngine())
    clock.advance(REMEMBERED_SECONDS + 1)
    await answer(checks, name_of(4), AllowingEngine())
    assert len(checks._answers) == 1


async def test_a_request_without_a_name_is_shared_with_no_other() -> None:
    """Another program than Envoy may ask."""
    checks = SharedChecks(TurnedClock())
    engine = AllowingEngine()
    for _ in range(2):
        await answer(checks, None, engine)
    assert engine.executions == [AttemptEnd.DONE] * 2
    assert checks.answer(None) is None


async def test_a_decision_whose_answer_was_lost_is_taken_back() -> None:
    """Also when it had been made."""
    checks = SharedChecks(TurnedClock())
    deciding = checks.join(name_of(1), OneDoor(e := AllowingEngine()).one.enter(CALL, NoBody()))
    await asyncio.wait((deciding.task,))
    checks.leave(name_of(1), deciding)
    assert e.executions == [AttemptEnd.UNREACHED]
    assert checks.answer(name_of(1)) is None


async def test_long_answers_hold_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client makes them long by what it forges; an answer that replaces another counts once."""
    monkeypatch.setattr(shared_checks, "MOST_BYTES", 2 * len(b"allowed"))
    monkeypatch.setattr(shared_checks, "LEAST_COUNTED", 0)
    checks = SharedChecks(TurnedClock())
    for number in (0, 1, 1, 2):
        await answer(checks, name_of(number), AllowingEngine())
    kept = [checks.answer(name_of(number)) for number in range(3)]
    assert kept == [None, b"allowed", b"allowed"]
