"""Checks, and what becomes of their calls' units."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain.model import AttemptEnd, RequestIdOrigin
from sidecar.frontends.envoy.ext_authz import ExtAuthz
from tests.fakes.doors import OneDoor
from tests.fakes.engines import (
    AllowingEngine,
    FaultyEngine,
    HeldEngine,
    ReadingEngine,
    RefusingEngine,
)
from tests.fakes.rpcs import Rpc, answered, check_request
from tests.plane import eventually


def behind(engine: AllowingEngine) -> tuple[ExtAuthz, OneDoor]:
    """Put the service before an engine; loopback is trusted."""
    doors = OneDoor(engine)
    return ExtAuthz(doors.one, lambda host: host == "127.0.0.1"), doors


async def test_an_allowed_call_counts_once_it_is_answered() -> None:
    """It is the program's to forward it."""
    service, doors = behind(engine := AllowingEngine())
    answer = answered(await service.check(check_request(x_request_id="mine"), Rpc()))
    assert answer.HasField("ok_response")
    assert engine.executions == [AttemptEnd.DONE]
    assert doors.observer.told == [("forwarded", "route"), ("finished", "within_quota", 200)]
    assert engine.calls[0].request_id_origin is RequestIdOrigin.TRUSTED
    assert doors.one.drain.inflight == 0


async def test_a_request_id_is_believed_from_a_trusted_address_alone() -> None:
    """As over HTTP."""
    service, _ = behind(engine := AllowingEngine())
    await service.check(check_request(x_request_id="mine"), Rpc("ipv4:10.0.0.7:1"))
    assert engine.calls[0].request_id_origin is RequestIdOrigin.CLIENT


async def test_a_refused_call_is_answered_with_its_refusal() -> None:
    """Nothing is remembered of it: asked again, it is decided again."""
    service, doors = behind(engine := RefusingEngine())
    for _ in range(2):
        answer = answered(await service.check(check_request("/deny", id="7"), Rpc()))
        assert answer.denied_response.status.code == 429
    assert doors.observer.of("finished") == [("over_quota", 429)] * 2
    assert len(engine.calls) == 2


async def test_a_request_that_is_checked_again_is_charged_once() -> None:
    """The answers are equal; from another Envoy it is another request."""
    service, _ = behind(engine := AllowingEngine())
    first = await service.check(check_request(id="7"), Rpc("ipv4:127.0.0.1:4000"))
    again = await service.check(check_request(id="7"), Rpc("ipv4:127.0.0.1:4001"))
    assert first == again
    assert len(engine.calls) == 1
    await service.check(check_request(id="7"), Rpc("ipv4:10.0.0.7:1"))
    await service.check(check_request(id="8"), Rpc())
    assert len(engine.calls) == 3


async def test_a_check_joins_one_that_is_being_decided() -> None:
    """Envoy asked again before the first was answered."""
    service, _ = behind(engine := HeldEngine())
    checks = [asyncio.ensure_future(service.check(check_request(id="7"), Rpc())) for _ in range(2)]
    await engine.asked.wait()
    engine.release.set()
    first, second = await asyncio.gather(*checks)
    assert first == second
    assert engine.executions == [AttemptEnd.DONE]


async def test_the_first_check_may_give_up_while_the_second_waits() -> None:
    """Its deadline was over: the call goes on with the second one's answer."""
    service, _ = behind(engine := HeldEngine())
    first, second = (
        asyncio.ensure_future(service.check(check_request(id="7"), Rpc())) for _ in range(2)
    )
    await engine.asked.wait()
    first.cancel()
    await asyncio.wait((first,))
    engine.release.set()
    assert answered(await second).HasField("ok_response")
    assert (engine.abandoned, engine.executions) == (0, [AttemptEnd.DONE])


async def test_a_check_that_no_envoy_waits_for_is_given_up() -> None:
    """Envoy refuses the call after its timeout."""
    service, doors = behind(engine := HeldEngine())
    check = asyncio.ensure_future(service.check(check_request(id="7"), Rpc()))
    await engine.asked.wait()
    check.cancel()
    await asyncio.wait((check,))
    await eventually(lambda: engine.abandoned == 1)
    await eventually(lambda: doors.one.drain.inflight == 0)


async def test_an_answer_that_cannot_be_written_gives_the_units_back() -> None:
    """Asked again, the request is charged again."""
    service, _ = behind(engine := AllowingEngine())
    rpc = Rpc()
    rpc.gone = True
    await service.check(check_request(id="7"), rpc)
    await service.check(check_request(id="7"), Rpc())
    assert engine.executions == [AttemptEnd.UNREACHED, AttemptEnd.DONE]


async def test_what_cannot_be_read_is_refused() -> None:
    """And no call is decided on."""
    service, doors = behind(engine := AllowingEngine())
    answer = answered(await service.check(check_request("nowhere"), Rpc()))
    assert answer.denied_response.status.code == 400
    assert (engine.calls, doors.observer.of("finished")) == ([], [("bad_request", 400)])


async def test_an_amount_is_read_from_the_body() -> None:
    """Which comes with the check; its memory is free again afterwards."""
    service, doors = behind(engine := ReadingEngine())
    await service.check(check_request(content=b'{"n": 3}'), Rpc())
    partial = check_request(content=b'{"n": 3}', x_envoy_auth_partial_body="true")
    answer = answered(await service.check(partial, Rpc()))
    assert engine.read == [b'{"n": 3}', None]
    assert answer.denied_response.status.code == 413
    assert doors.one.memory.used == 0


async def test_a_fault_refuses() -> None:
    """An error is never an answer that allows."""
    service, _ = behind(FaultyEngine())
    answer = answered(await service.check(check_request("/fault"), Rpc()))
    assert answer.denied_response.status.code == 500


async def test_a_fault_of_the_answer_is_an_error_of_the_rpc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For which Envoy refuses; the units are given back."""
    service, doors = behind(engine := AllowingEngine())
    monkeypatch.setattr("sidecar.frontends.envoy.ext_authz.allowing", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await service.check(check_request(), Rpc())
    assert (engine.executions, doors.one.drain.inflight) == ([AttemptEnd.UNREACHED], 0)


async def test_a_second_caller_is_decided_by_itself() -> None:
    """With the first one's ID: while that one is decided, and after it."""
    service, _ = behind(engine := HeldEngine())
    mine, other = check_request(id="7", cookie="bb_at=1"), check_request(id="7", cookie="bb_at=2")
    checks = [asyncio.ensure_future(service.check(each, Rpc())) for each in (mine, other)]
    await engine.asked.wait()
    engine.release.set()
    await asyncio.gather(*checks)
    await service.check(check_request(id="7"), Rpc())
    assert len(engine.executions) == 3
