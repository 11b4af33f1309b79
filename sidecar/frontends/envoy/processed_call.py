"""One decided call on its ext_proc stream: let go on or refused, then followed to its end."""

from __future__ import annotations

from typing import Final

from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest

from sidecar.domain.model import AttemptEnd
from sidecar.frontends.bodies import announced_length
from sidecar.frontends.door import Visit
from sidecar.frontends.envoy.attempts import attributes_of, reached_none
from sidecar.frontends.envoy.head_fields import forged_names, pairs_of, split
from sidecar.frontends.envoy.processing_answers import (
    add_metadata,
    passing,
    refusing_with,
    show_next,
)
from sidecar.frontends.envoy.shown_body import ShownBody
from sidecar.frontends.envoy.streams import ProcessingStream
from sidecar.frontends.fields import field_of, identity_fields
from sidecar.frontends.long_parts import read_part
from sidecar.frontends.questions import CallQuestion

_SERVER_ERROR: Final = 500

_OUT_OF_ORDER: Final = "ext_proc: one stream is one call, and {} came where it cannot come"


class ProcessedCall:
    """A call that was decided on."""

    def __init__(
        self, visit: Visit, question: CallQuestion, body: ShownBody, stream: ProcessingStream
    ) -> None:
        self._visit = visit
        self._question = question
        self._body = body
        self._stream = stream
        self._status = 0
        self._end = AttemptEnd.UNREACHED
        self._over = False
        self._left: int | None = None
        """Bytes of the answer that are still to come, where its head says how many it has."""
        self._headed = False

    async def follow(self) -> None:
        """Answer Envoy until the call has ended, and close the attempt however that goes.

        What is left before any head of an answer may have been executed, and is charged.
        """
        try:
            await self._follow()
        finally:
            self._visit.end(self._status, self._end)

    async def _follow(self) -> None:
        visit = self._visit
        if visit.answer is not None:
            self._status = visit.answer.status
            await self._stream.write(refusing_with(visit.answer, visit.decision))
            return
        if self._stream.gone:
            return
        self._end = AttemptEnd.DONE
        visit.begin()
        await self._let_go_on()
        while not self._over:
            message = await self._stream.read()
            if message is None:
                return
            await self._take(message)

    async def _let_go_on(self) -> None:
        """Answer what waits of the request: the product gets it with its caller."""
        visit, settled = self._visit, self._visit.settled
        headers = self._question.headers
        who = identity_fields(visit.decision.identity)
        fields = [*who, (b"x-request-id", visit.decision.request_id.encode("ascii"))]
        asking = None
        if settled is not None:
            fields += [each for each in settled.request_fields(headers) if each not in headers]
            if self._body.whole:
                target = self._question.target.encode("ascii")
                asking = settled.asking_body(target, headers, self._body.whole)
        if asking is not None and field_of(headers, b"content-length") is not None:
            fields.append((b"content-length", b"%d" % len(asking)))
        removed = forged_names(headers, but=[name for name, _ in who])
        step = self._body.step
        response = passing(step, fields=fields, removed=removed, body=asking)
        add_metadata(response, visit.decision)
        if step == "request_headers":
            show_next(response)
        await self._stream.write(response)

    async def _take(self, message: ProcessingRequest) -> None:
        step = message.WhichOneof("request") or ""
        match step:
            case "response_headers" if not self._headed:
                self._headed = True
                await self._take_head(message)
            case "response_body" if self._headed:
                part = message.response_body
                await self._take_part(part.body, last=part.end_of_stream)
            case "response_trailers" if self._headed:
                self._over = True
                if self._visit.settled is not None:
                    self._visit.settled.end(b"")
                await self._stream.write(passing(step))
            case "request_body" | "request_trailers":
                await self._stream.write(passing(step))
            case _:
                await self._stream.fail(_OUT_OF_ORDER.format(step or "nothing"))

    async def _take_head(self, message: ProcessingRequest) -> None:
        """Mark the answer's head, and choose how much of the rest is looked at."""
        settled = self._visit.settled
        own, fields = split(pairs_of(message.response_headers.headers))
        self._status = int(own.get(b":status", b"0"))
        last = message.response_headers.end_of_stream
        if reached_none(attributes_of(message)):
            self._end = AttemptEnd.UNREACHED
            settled = None
        elif self._status >= _SERVER_ERROR:
            self._end = AttemptEnd.FAILED
        if settled is not None:
            self._left = announced_length(field_of(fields, b"content-length"))
            settled.began(self._status, fields)
            if last:
                settled.end(b"")
        self._over = last or settled is None
        marks, dropped = self._visit.marks()
        removed = sorted(dropped - {name for name, _ in marks})
        response = passing(
            "response_headers", fields=marks, removed=[name.decode() for name in removed]
        )
        show_next(response, answer_body=not self._over)
        await self._stream.write(response)

    async def _take_part(self, data: bytes, *, last: bool) -> None:
        """Read a part of the answer; it passes as it is, but for a chunk of usage.

        A client that has all bytes may leave before Envoy says that they were the last ones.
        """
        settled = self._visit.settled
        if self._left is not None:
            self._left -= len(data)
            last = last or not self._left
        self._over = last
        given = data
        if settled is not None:
            given = await read_part(self._visit, settled, data, last=last)
        changed = None if given == data else given
        await self._stream.write(passing("response_body", body=changed))
