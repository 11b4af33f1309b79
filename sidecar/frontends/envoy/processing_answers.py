"""What ext_proc answers Envoy at each step of a call. Pure.

Source: envoy/service/ext_proc/v3/external_processor.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    BodyMutation,
    HeaderMutation,
    ProcessingResponse,
)

from sidecar.answers.writer import OwnAnswer
from sidecar.domain.model import Decision
from sidecar.frontends.envoy.check_answers import metadata_of
from sidecar.frontends.envoy.head_fields import overwriting

NAMESPACE: Final = "envoy.filters.http.ext_proc"

_CHANGEABLE: Final = frozenset(
    {"request_headers", "response_headers", "request_body", "response_body"}
)
"""Steps whose answer may change the call: trailers pass as they come."""


def passing(
    step: str,
    *,
    fields: Iterable[tuple[bytes, bytes]] = (),
    removed: Iterable[str] = (),
    body: bytes | None = None,
) -> ProcessingResponse:
    """Let a message of Envoy's go on: with other fields, and with another body where one is given.

    `step` is the message's own name.
    """
    response = ProcessingResponse()
    part = getattr(response, step)
    part.SetInParent()
    if step not in _CHANGEABLE:
        return response
    mutation = _mutation(fields, removed)
    if mutation.set_headers or mutation.remove_headers:
        part.response.header_mutation.CopyFrom(mutation)
    if body is not None:
        changed = BodyMutation(body=body) if body else BodyMutation(clear_body=True)
        part.response.body_mutation.CopyFrom(changed)
    return response


def refusing_with(answer: OwnAnswer, decision: Decision) -> ProcessingResponse:
    """Answer in place of the product."""
    response = ProcessingResponse()
    immediate = response.immediate_response
    immediate.status.code = answer.status
    immediate.headers.CopyFrom(_mutation(answer.headers, ()))
    immediate.body = answer.body
    add_metadata(response, decision)
    return response


def add_metadata(response: ProcessingResponse, decision: Decision) -> None:
    """Say for Envoy's log and filters whose the call is, and what was decided."""
    response.dynamic_metadata.update({NAMESPACE: metadata_of(decision)})


def show_next(
    response: ProcessingResponse,
    *,
    request_body: int = ProcessingMode.NONE,
    answer_body: bool = False,
) -> None:
    """Ask Envoy to show no more of the call than is needed; the head of its answer always is.

    What Envoy shows of a body it sends on in chunks, without its length.
    """
    mode = response.mode_override
    mode.request_header_mode = mode.response_header_mode = ProcessingMode.SEND
    mode.request_body_mode = request_body
    mode.response_body_mode = ProcessingMode.STREAMED if answer_body else ProcessingMode.NONE
    mode.request_trailer_mode = ProcessingMode.SEND if request_body else ProcessingMode.SKIP
    mode.response_trailer_mode = ProcessingMode.SEND if answer_body else ProcessingMode.SKIP


def _mutation(fields: Iterable[tuple[bytes, bytes]], removed: Iterable[str]) -> HeaderMutation:
    options = [overwriting(name, value, raw=True) for name, value in fields]
    return HeaderMutation(set_headers=options, remove_headers=removed)
