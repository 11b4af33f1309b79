"""A body that Envoy shows where a decision needs it."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest

from sidecar.frontends.bodies import ClientLeftError
from sidecar.frontends.envoy.shown_body import BodyNotShownError, ShownBody
from sidecar.frontends.envoy.streams import ProcessingStream
from sidecar.proxy.body_memory import BodyMemory
from tests.fakes.rpcs import (
    ProcessingRpc,
    answer_body,
    answer_head,
    request_body,
    request_head,
    trailers,
)

PARTIAL = ProcessingMode.BUFFERED_PARTIAL


def shown(
    *messages: Any, overrides: bool = False, **head: Any
) -> tuple[ShownBody, ProcessingRpc, BodyMemory]:
    """Begin a call whose body is wanted; then the messages come."""
    rpc, memory = ProcessingRpc(*messages), BodyMemory()
    fields = [(b"x-bb-org-id", b"evil")]
    stream, first = ProcessingStream(rpc), request_head(**head)
    return ShownBody(stream, first, fields, memory, overrides=overrides), rpc, memory


async def test_a_body_is_asked_for_once_it_is_wanted() -> None:
    """The head goes on without what was made up in it, and waits in Envoy."""
    body, rpc, memory = shown(request_body(b"{}"))
    assert await body.read(2) == b"{}"
    assert await body.read(2) == b"{}"
    assert (body.step, body.whole, rpc.steps) == ("request_body", b"{}", ["request_headers"])
    (asked,) = rpc.answers
    assert list(asked.request_headers.response.header_mutation.remove_headers) == ["x-bb-org-id"]
    assert asked.mode_override.request_body_mode == ProcessingMode.BUFFERED
    body.let_go()
    assert memory.used == 0


async def test_a_call_without_a_body_is_not_asked_for_one() -> None:
    """Its head says so."""
    body, rpc, _ = shown(last=True)
    assert await body.read(2) == b""
    assert (body.step, rpc.answers) == ("request_headers", [])


@pytest.mark.parametrize(
    ("message", "mode", "found"),
    [
        (request_body(b"{}", last=False), ProcessingMode.BUFFERED, b"{}"),  # trailers follow
        (request_body(b"{}", last=False), PARTIAL, None),
        (request_body(b"{}x"), ProcessingMode.BUFFERED, None),
        (trailers("request"), ProcessingMode.BUFFERED, None),
    ],
)
async def test_what_is_not_whole_has_no_price(message: Any, mode: int, found: bytes | None) -> None:
    """Nor what is too long. With trailers alone, the caller could not be put into the head."""
    body, _, _ = shown(message, body_mode=mode)
    assert await body.read(2) == found


@pytest.mark.parametrize("mode", [ProcessingMode.NONE, ProcessingMode.STREAMED])
async def test_envoy_is_asked_to_hold_a_body_back(mode: int) -> None:
    """Where it says that it does what it is asked for."""
    body, rpc, _ = shown(request_body(b"{}"), body_mode=mode, overrides=True)
    assert await body.read(2) == b"{}"
    assert rpc.answers[0].mode_override.request_body_mode == ProcessingMode.BUFFERED


async def test_a_call_that_was_forwarded_instead_is_a_fault() -> None:
    """The answer of the product comes, and no body."""
    body, _, _ = shown(answer_head(200, attempts=1), body_mode=0, overrides=True)
    with pytest.raises(BodyNotShownError, match="allow_mode_override"):
        await body.read(2)


@pytest.mark.parametrize("messages", [(), (answer_head(413, attempts=0),)])
async def test_a_call_may_end_before_its_body_is_whole(messages: tuple[Any, ...]) -> None:
    """Its client leaves, or Envoy answers by itself."""
    body, _, _ = shown(*messages)
    with pytest.raises(ClientLeftError):
        await body.read(2)
    assert body.step == ("response_headers" if messages else "request_headers")


@pytest.mark.parametrize("mode", [ProcessingMode.NONE, ProcessingMode.STREAMED])
async def test_a_body_that_envoy_would_not_hold_back_cannot_be_priced(mode: int) -> None:
    """The product would run before the decision."""
    body, rpc, _ = shown(request_body(b"{}"), body_mode=mode)
    with pytest.raises(BodyNotShownError, match="request_body_mode: BUFFERED"):
        await body.read(2)
    assert rpc.answers == []


@pytest.mark.parametrize(
    "message", [request_head(), trailers("response"), ProcessingRequest(), answer_body(b"x")]
)
async def test_another_message_in_place_of_the_body_is_a_fault(message: Any) -> None:
    """The refusal can be written all the same: the request's body waits in Envoy."""
    body, _, _ = shown(message)
    with pytest.raises(BodyNotShownError, match="another message"):
        await body.read(2)
    assert body.step == "request_body"
