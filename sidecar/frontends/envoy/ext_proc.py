"""envoy.service.ext_proc.v3.ExternalProcessor: decides on a call, and settles it by its answer.

One stream is one call. Envoy shows the request's head and, before a decision that needs it, its
body; then the head of the answer and, where the call is settled by it, its body as it streams.
A fault is an error of the stream, for which Envoy refuses the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse

from sidecar.frontends.bodies import ClientLeftError
from sidecar.frontends.door import ID_FIELD, Door
from sidecar.frontends.envoy.attempts import attributes_of, reached_none
from sidecar.frontends.envoy.head_fields import TOO_LARGE, is_too_large, pairs_of, split
from sidecar.frontends.envoy.peers import host_of
from sidecar.frontends.envoy.processed_call import ProcessedCall
from sidecar.frontends.envoy.processing_answers import passing, refusing_with
from sidecar.frontends.envoy.shown_body import ShownBody
from sidecar.frontends.envoy.streams import ProcessingStream
from sidecar.frontends.fields import field_of
from sidecar.frontends.questions import question_about

FIRST_SECONDS: Final = 10.0
"""How long a stream may begin with nothing: Envoy opens it with the head of a request."""

SERVICE: Final = "envoy.service.ext_proc.v3.ExternalProcessor"

_OBEYS: Final = ("x-quota-mode-override", "allowed")
"""Metadata by which Envoy's configuration says that it shows what we ask it for.

No message says it, and where a body is not shown, its call goes on undecided.
"""

_WRONG_MODE: Final = (
    "ext_proc must see each request's head before it goes on: set request_header_mode: SEND, and "
    "not observability_mode"
)


class ExtProc:
    """Follows calls."""

    def __init__(self, door: Door, is_trusted: Callable[[str], bool]) -> None:
        """Decide by `door`; `is_trusted`: whether an address's request IDs are believed."""
        self._door = door
        self._is_trusted = is_trusted

    @property
    def handler(self) -> Any:  # noqa: ANN401 - grpcio has no types
        """What the server calls."""
        process = grpc.stream_stream_rpc_method_handler(
            self.process,
            request_deserializer=ProcessingRequest.FromString,
            response_serializer=ProcessingResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Process": process})

    async def process(self, _: object, context: Any) -> None:  # noqa: ANN401
        """Follow one call to its end."""
        stream = ProcessingStream(context)
        try:
            first = await stream.soon(FIRST_SECONDS)
        except TimeoutError:
            first = None
        if first is None:
            return
        step = first.WhichOneof("request")
        if step == "response_headers" and reached_none(attributes_of(first)):
            await stream.write(passing(step))  # Envoy's own answer to what is no request
            return
        if step != "request_headers" or first.observability_mode:
            await stream.fail(_WRONG_MODE)
        if is_too_large(first.request_headers.headers):
            await self._refuse(stream, TOO_LARGE)
            return
        own, fields = split(pairs_of(first.request_headers.headers))
        method, target = own.get(b":method", b""), own.get(b":path", b"")
        question = question_about(method, target, fields)
        if isinstance(question, str):
            await self._refuse(stream, question)
            return
        trusted = self._is_trusted(host_of(context.peer()))
        call = self._door.asked_about(question, field_of(fields, ID_FIELD), trusted=trusted)
        body = ShownBody(
            stream, first, question.headers, self._door.memory,
            overrides=_OBEYS in (context.invocation_metadata() or ()),
        )  # fmt: skip
        try:
            visit = await self._door.enter(call, body)
        except ClientLeftError:
            if body.step == "response_headers":  # Envoy's own answer, such as 413
                await stream.write(passing(body.step))
            return
        finally:
            body.let_go()
        await ProcessedCall(visit, question, body, stream).follow()

    async def _refuse(self, stream: ProcessingStream, why: str) -> None:
        answer, decision = self._door.refuse_unread(why)
        self._door.observer.request_finished(decision, decision.status, 0.0)
        await stream.write(refusing_with(answer, decision))
