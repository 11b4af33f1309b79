"""What a stream begins with."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.model import AttemptEnd, RequestIdOrigin
from sidecar.frontends.envoy.ext_proc import ExtProc
from tests.fakes.doors import OneDoor
from tests.fakes.engines import AllowingEngine, FaultyEngine, HeldEngine, ReadingEngine
from tests.fakes.rpcs import AbortedError, ProcessingRpc, answer_head, request_body, request_head


async def followed(engine: AllowingEngine, rpc: ProcessingRpc) -> OneDoor:
    """Follow a call before an engine; loopback is trusted."""
    doors = OneDoor(engine)
    await ExtProc(doors.one, lambda host: host == "127.0.0.1").process(None, rpc)
    assert doors.one.drain.inflight == 0
    assert doors.one.memory.used == 0
    return doors


async def test_a_call_is_what_its_head_says() -> None:
    """With the authority as its host."""
    rpc = ProcessingRpc(request_head("/chat?x=1", x_request_id="mine"), answer_head())
    await followed(engine := AllowingEngine(), rpc)
    (call,) = engine.calls
    assert (call.method, call.path, call.query) == ("POST", "/chat", "x=1")
    assert call.headers == [(b"x-request-id", b"mine"), (b"host", b"acme")]
    assert call.request_id_origin is RequestIdOrigin.TRUSTED
    assert engine.executions == [AttemptEnd.DONE]


async def test_a_stream_that_ends_at_once_is_no_call() -> None:
    """Nothing is decided."""
    await followed(engine := AllowingEngine(), ProcessingRpc())
    assert engine.calls == []


async def test_what_cannot_be_read_is_refused() -> None:
    """No route would match it."""
    rpc = ProcessingRpc(request_head("nowhere"))
    doors = await followed(engine := AllowingEngine(), rpc)
    assert rpc.answers[0].immediate_response.status.code == 400
    assert (engine.calls, doors.observer.of("finished")) == ([], [("bad_request", 400)])


async def test_an_answer_of_envoys_own_passes() -> None:
    """It refused what was no request."""
    rpc = ProcessingRpc(answer_head(400, attempts=0))
    await followed(engine := AllowingEngine(), rpc)
    assert (engine.calls, rpc.steps) == ([], ["response_headers"])


async def test_a_stream_that_shows_no_request_is_an_error() -> None:
    """Envoy is set up so that calls would go on undecided."""
    watching = request_head()
    watching.observability_mode = True
    for first in (answer_head(), answer_head(attempts=1), request_body(b""), watching):
        with pytest.raises(AbortedError, match="request_header_mode"):
            await ExtProc(OneDoor(AllowingEngine()).one, bool).process(None, ProcessingRpc(first))


async def test_a_body_that_sets_the_amount_is_read_first() -> None:
    """The answer to it carries the caller."""
    rpc = ProcessingRpc(request_head(), request_body(b'{"n": 3}'), answer_head())
    await followed(engine := ReadingEngine(), rpc)
    assert engine.read == [b'{"n": 3}']
    assert rpc.steps == ["request_headers", "request_body", "response_headers"]


async def test_a_body_is_asked_for_where_envoy_says_that_it_obeys() -> None:
    """In the metadata of the stream, since no message says it."""
    rpc = ProcessingRpc(request_head(body_mode=0), request_body(b"{}"), answer_head())
    rpc.metadata = (("x-quota-mode-override", "allowed"),)
    await followed(engine := ReadingEngine(), rpc)
    assert engine.read == [b"{}"]


@pytest.mark.parametrize("last", [(), (answer_head(413, attempts=0),)])
async def test_a_call_that_ends_before_its_body_costs_nothing(last: tuple[object, ...]) -> None:
    """An answer of Envoy's own passes."""
    rpc = ProcessingRpc(request_head(), *last)
    await followed(engine := ReadingEngine(), rpc)
    assert engine.executions == []
    assert rpc.steps == ["request_headers", *(["response_headers"] if last else [])]


async def test_a_body_that_envoy_does_not_show_refuses_the_call() -> None:
    """A mistake of the configuration charges no wrong amount."""
    rpc = ProcessingRpc(request_head(body_mode=0))
    await followed(ReadingEngine(), rpc)
    assert rpc.answers[0].immediate_response.status.code == 500


async def test_a_fault_refuses() -> None:
    """An error is never an answer that allows."""
    rpc = ProcessingRpc(request_head("/fault", last=True))
    await followed(FaultyEngine(), rpc)
    assert rpc.answers[0].immediate_response.status.code == 500


async def test_a_drain_refuses() -> None:
    """New calls; those under way are counted until they end."""
    doors = OneDoor(HeldEngine())
    doors.one.drain.begin()
    rpc = ProcessingRpc(request_head(last=True))
    await ExtProc(doors.one, bool).process(None, rpc)
    assert rpc.answers[0].immediate_response.status.code == 503


async def test_a_head_beyond_measure_is_refused() -> None:
    """To read all of its fields would hold up other calls."""
    many: dict[str, Any] = {f"a{number}": "x" for number in range(1001)}
    rpc = ProcessingRpc(request_head(**many))
    await followed(engine := AllowingEngine(), rpc)
    assert rpc.answers[0].immediate_response.status.code == 400
    assert engine.calls == []
