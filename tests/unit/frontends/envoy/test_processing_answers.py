"""The messages that ext_proc answers with."""

from __future__ import annotations

from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode

from sidecar.answers.writer import OwnAnswer
from sidecar.domain.model import Decision, Reason
from sidecar.frontends.envoy.processing_answers import (
    NAMESPACE,
    passing,
    refusing_with,
    show_next,
)
from tests.fakes.rpcs import fields_of


def test_a_message_passes_unchanged() -> None:
    """Without a mutation, which Envoy would have to apply."""
    for step in ("request_headers", "request_body", "response_headers", "response_body"):
        part = getattr(passing(step), step)
        assert not part.response.HasField("header_mutation")
        assert not part.response.HasField("body_mutation")
    assert passing("response_trailers").WhichOneof("response") == "response_trailers"


def test_a_message_passes_with_changes() -> None:
    """An empty body has a word of its own."""
    part = passing("response_body", fields=[(b"A", b"1")], removed=["b"], body=b"x").response_body
    assert fields_of(part.response.header_mutation.set_headers) == {"a": "1"}
    assert list(part.response.header_mutation.remove_headers) == ["b"]
    assert part.response.body_mutation.body == b"x"
    assert passing("response_body", body=b"").response_body.response.body_mutation.clear_body


def test_a_refusal_is_answered_at_once() -> None:
    """With what was decided, for the log."""
    decision = Decision(Reason.OVER_QUOTA, "chat", "id", None, 429)
    response = refusing_with(OwnAnswer(429, ((b"Retry-After", b"3"),), b"{}"), decision)
    immediate = response.immediate_response
    assert (immediate.status.code, immediate.body) == (429, b"{}")
    assert fields_of(immediate.headers.set_headers) == {"retry-after": "3"}
    assert response.dynamic_metadata[NAMESPACE]["reason"] == "over_quota"


def test_envoy_shows_no_more_than_is_needed() -> None:
    """The head of the answer always; trailers with their bodies, whose end they are."""
    response = passing("request_headers")
    show_next(response)
    mode = response.mode_override
    assert mode.response_header_mode == ProcessingMode.SEND
    assert (mode.request_body_mode, mode.response_body_mode) == (0, 0)
    assert mode.request_trailer_mode == mode.response_trailer_mode == ProcessingMode.SKIP
    show_next(response, request_body=ProcessingMode.BUFFERED, answer_body=True)
    assert mode.request_body_mode == ProcessingMode.BUFFERED
    assert mode.response_body_mode == ProcessingMode.STREAMED
    assert mode.request_trailer_mode == mode.response_trailer_mode == ProcessingMode.SEND
