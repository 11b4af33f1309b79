"""A decided call, until its answer has ended."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest

from sidecar.domain.model import AttemptEnd, Call, Decision
from sidecar.domain.ports import BodySource
from sidecar.domain.usage import Estimate, MissingCause, Terms, Tokens
from sidecar.frontends.envoy.ext_proc import ExtProc
from tests.fakes.doors import OneDoor
from tests.fakes.engines import AllowingEngine, RefusingEngine, SettlingEngine
from tests.fakes.rpcs import (
    AbortedError,
    ProcessingRpc,
    answer_body,
    answer_head,
    fields_of,
    request_body,
    request_head,
    trailers,
)
from tests.unit.admission.usage_rules import rule

TERMS = Terms(rule(request_usage=True), Estimate(0, None, None), 0, forgive=False)
COMPLETIONS = "/v1/chat/completions"
STREAM = b'{"stream":true,"messages":[]}'
DELTA = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
JSON = b'{"usage":{"prompt_tokens":7,"completion_tokens":3}}'
EVENTS: dict[str, Any] = {"content_type": "text/event-stream"}
REFUSED = "upstream_reset_before_response_started{remote_connection_failure}"
DONE, FAILED, UNREACHED = AttemptEnd.DONE, AttemptEnd.FAILED, AttemptEnd.UNREACHED


async def follow(engine: AllowingEngine, *messages: Any) -> ProcessingRpc:
    """Follow a call."""
    doors, rpc = OneDoor(engine), ProcessingRpc(*messages)
    await ExtProc(doors.one, bool).process(None, rpc)
    assert doors.one.drain.inflight == 0
    assert engine.settled_once()
    return rpc


async def test_an_allowed_call_goes_on_as_its_caller() -> None:
    """Envoy shows no more than the head of its answer, which gets the quota fields."""
    forged: dict[str, Any] = {"x_bb_plan": "evil", "x_bb_new": "evil"}
    rpc = await follow(
        engine := AllowingEngine(),
        request_head(last=True, **forged),
        answer_head(x_quota_decision="evil"),
    )
    on, head = rpc.answers
    mutation = on.request_headers.response.header_mutation
    assert fields_of(mutation.set_headers)["x-bb-plan"] == "pro"
    assert list(mutation.remove_headers) == ["x-bb-new"]
    assert on.mode_override.request_body_mode == ProcessingMode.NONE
    mutation = head.response_headers.response.header_mutation
    assert "ratelimit" in fields_of(mutation.set_headers)
    assert list(mutation.remove_headers) == ["x-quota-decision"]
    assert head.mode_override.response_body_mode == ProcessingMode.NONE
    assert engine.executions == [DONE]


async def test_a_refused_call_is_answered_in_place_of_the_product() -> None:
    """And the stream is over."""
    rpc = await follow(RefusingEngine(), request_head("/deny", last=True))
    assert rpc.answers[0].immediate_response.status.code == 429
    assert rpc.steps == ["immediate_response"]


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (answer_head(200), DONE),
        (answer_head(404), DONE),
        (answer_head(503), FAILED),
        (answer_head(503, attempts=1, details="via_upstream"), FAILED),
        (answer_head(503, attempts=1, details=REFUSED), UNREACHED),
        (answer_head(404, attempts=0, details="route_not_found"), UNREACHED),
    ],
)
async def test_the_answer_says_how_the_attempt_ended(answer: Any, end: AttemptEnd) -> None:
    """As far as Envoy shows whose it is."""
    await follow(engine := AllowingEngine(), request_head(last=True), answer)
    assert engine.executions == [end]


async def test_a_stream_that_ends_before_any_answer_is_charged() -> None:
    """The product may have run."""
    await follow(engine := AllowingEngine(), request_head(last=True))
    assert engine.executions == [DONE]


async def test_a_stream_that_ended_before_it_was_let_go_on_is_not_charged() -> None:
    """Nothing was forwarded."""

    class LeavingEngine(AllowingEngine):
        async def decide(self, call: Call, body: BodySource) -> Decision:
            rpc.gone = True
            return await super().decide(call, body)

    doors, rpc = OneDoor(engine := LeavingEngine()), ProcessingRpc(request_head(last=True))
    await ExtProc(doors.one, bool).process(None, rpc)
    assert (engine.executions, rpc.answers) == ([UNREACHED], [])


async def test_what_envoy_shows_of_the_request_afterwards_passes() -> None:
    """It does so where it ignores what it is asked for."""
    rpc = await follow(
        AllowingEngine(), request_head(), request_body(b"x"), trailers("request"), answer_head()
    )
    assert rpc.steps[1:3] == ["request_body", "request_trailers"]


async def test_an_answer_is_settled_by_what_it_says() -> None:
    """It streams, and passes unchanged; the product is asked for a plain one."""
    rpc = await follow(
        engine := SettlingEngine(TERMS),
        request_head(accept_encoding="br"),
        request_body(b"{}"),
        answer_head(content_length=str(len(JSON))),
        answer_body(JSON[:9]),
        answer_body(JSON[9:], last=True),
    )
    fields = fields_of(rpc.answers[1].request_body.response.header_mutation.set_headers)
    assert fields["accept-encoding"] == "identity"
    assert rpc.answers[2].mode_override.response_body_mode == ProcessingMode.STREAMED
    assert not any(
        each.response_body.response.HasField("body_mutation") for each in rpc.answers[3:]
    )
    (usage,) = engine.usages
    assert usage is not None
    assert (usage.tokens, usage.missing) == (Tokens(7, 0, 0, 3), None)


async def test_a_stream_is_asked_for_its_usage() -> None:
    """Its chunk is taken out for a client that did not ask; the length of the body follows."""
    rpc = await follow(
        engine := SettlingEngine(TERMS),
        request_head(COMPLETIONS, content_length=str(len(STREAM))),
        request_body(STREAM),
        answer_head(**EVENTS),
        answer_body(DELTA),
        answer_body(USAGE),
        answer_body(b"", last=True),
    )
    asking = rpc.answers[1].request_body.response
    assert b'"include_usage":true' in asking.body_mutation.body
    length = fields_of(asking.header_mutation.set_headers)["content-length"]
    assert int(length) == len(asking.body_mutation.body)
    taken = [each.response_body.response.body_mutation.clear_body for each in rpc.answers[3:]]
    assert taken == [False, True, False]
    (usage,) = engine.usages
    assert usage is not None
    assert usage.tokens == Tokens(7, 0, 0, 3)


async def test_an_answer_is_whole_with_its_last_byte() -> None:
    """Its client may leave before Envoy says so."""
    await follow(
        engine := SettlingEngine(TERMS), request_head(), request_body(b"{}"),
        answer_head(content_length=str(len(JSON))), answer_body(JSON),
    )  # fmt: skip
    (usage,) = engine.usages
    assert usage is not None
    assert usage.missing is None


async def test_a_long_part_is_read_whole() -> None:
    """In slices, between which the loop serves other calls."""
    answer = b'{"text":"' + b"x" * 100_000 + b'",' + JSON[1:]
    await follow(
        engine := SettlingEngine(TERMS), request_head(), request_body(b"{}"), answer_head(),
        answer_body(answer, last=True),
    )  # fmt: skip
    (usage,) = engine.usages
    assert usage is not None
    assert usage.tokens == Tokens(7, 0, 0, 3)


@pytest.mark.parametrize(
    ("messages", "missing"),
    [
        ([answer_head(**EVENTS), answer_body(DELTA)], MissingCause.CUT),
        ([answer_head(**EVENTS), answer_body(DELTA), trailers("response")], MissingCause.ABSENT),
        ([answer_head(last=True)], MissingCause.ABSENT),
        ([], MissingCause.CUT),
    ],
)
async def test_an_answer_without_usage_is_settled_all_the_same(
    messages: list[Any], missing: MissingCause
) -> None:
    """By what was sent, whether the client left, it ended with trailers, or has no body."""
    await follow(engine := SettlingEngine(TERMS), request_head(), request_body(b"{}"), *messages)
    (usage,) = engine.usages
    assert usage is not None
    assert usage.missing is missing


async def test_a_settled_call_that_reached_no_product_is_given_back() -> None:
    """Its answer is Envoy's."""
    answer = answer_head(503, attempts=1, details=REFUSED)
    await follow(engine := SettlingEngine(TERMS), request_head(last=True), answer)
    assert (engine.executions, engine.usages) == ([UNREACHED], [None])


@pytest.mark.parametrize(
    "messages",
    [
        (request_head("/other"),),
        (answer_head(), request_head("/other")),
        (answer_head(), answer_head()),
        (answer_body(b"early"),),
        (trailers("response"),),
        (ProcessingRequest(),),
    ],
)
async def test_a_message_out_of_order_ends_the_stream(messages: tuple[Any, ...]) -> None:
    """A second request on it would pass undecided. The call that ran is charged once."""
    engine = SettlingEngine(TERMS)
    with pytest.raises(AbortedError, match="one stream is one call"):
        await follow(engine, request_head(last=True), *messages)
    assert engine.executions == [DONE]
    assert engine.settled_once()
