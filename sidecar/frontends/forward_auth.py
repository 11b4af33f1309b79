"""Forward auth: decides for a program that forwards by itself, on our own data plane.

An allowed call is answered 200 with the fields that the program copies into the call; a denied one
is answered with its refusal. What happens to the call afterwards is not seen here: it counts once
"allow" is written, and is given back where that could not be written.
"""

from __future__ import annotations

import json
from typing import Final

import orjson

from sidecar.answers.early import TOO_MANY_CONNECTIONS, overloaded, unreadable
from sidecar.answers.refusals import refuse
from sidecar.answers.writer import Fields, OwnAnswer, serialise
from sidecar.domain.model import AttemptEnd, Call, Decision
from sidecar.frontends.blind import refuse_unkept
from sidecar.frontends.bodies import ClientLeftError
from sidecar.frontends.door import Door, Visit
from sidecar.frontends.fields import identity_fields
from sidecar.frontends.questions import Asker, CallQuestion, read_question
from sidecar.http1.errors import ProtocolError
from sidecar.http1.shared_lines import CLOSE
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.drain import Drain
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.inbound import InboundBody

STATUS_FIELD: Final = b"X-Quota-Status"
PROBLEM_FIELD: Final = b"X-Quota-Problem"
"""The status and the body of a refusal, for a program that passes 401 and 403 and no body."""

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400


class ForwardAuth:
    """Answers questions. A `Plane` for `sidecar.proxy.server.Server`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.drain: Final[Drain] = door.drain
        self.memory: Final[BodyMemory] = door.memory

    async def serve(self, exchange: Exchange) -> None:
        """Answer one question, and end its exchange."""
        try:
            await self._serve(exchange)
        finally:
            exchange.end()

    def refuse_unparsed(self, client: ServerConnection, error: ProtocolError) -> None:
        """Answer what never became a request."""
        decision = unreadable(self._new_id(), self._door.engine.errors, error.status, error.detail)
        self._turn_away(client, decision)

    def refuse_overloaded(self, client: ServerConnection) -> None:
        """Answer a connection that there is no room for."""
        full = overloaded(self._new_id(), self._door.engine.errors, TOO_MANY_CONNECTIONS)
        self._turn_away(client, full)

    async def _serve(self, exchange: Exchange) -> None:
        head, body = exchange.head, exchange.body
        question = read_question(head, has_body=body is not None)
        if isinstance(question, str):
            asked = head.target.startswith(b"/forward-auth")
            status = _BAD_REQUEST if asked else _NOT_FOUND
            refusal = unreadable(self._new_id(), self._door.engine.errors, status, question)
            self._send(exchange, refuse(refusal, self._door.clock.time()))
            return
        try:
            visit = await self._door.enter(self._call(exchange, question), _Body(body))
        except ClientLeftError:
            broken = unreadable(self._new_id(), self._door.engine.errors)
            self._send(exchange, refuse(broken, self._door.clock.time()))
            return
        refuse_unkept(visit)
        refusal_answer = visit.answer
        if refusal_answer is not None:
            self._send(exchange, _for_asker(refusal_answer, question.asker))
            visit.end(refusal_answer.status, AttemptEnd.UNREACHED)
            return
        visit.begin()
        self._send(exchange, OwnAnswer(_OK, _allowing(visit), b""))
        lost = exchange.client.transport.is_closing()
        visit.end(0 if lost else _OK, AttemptEnd.UNREACHED if lost else AttemptEnd.DONE)

    def _call(self, exchange: Exchange, question: CallQuestion) -> Call:
        request_id, origin = self._door.request_id(
            question.headers, trusted=exchange.client.trusted
        )
        path, _, query = question.target.partition("?")
        return Call(question.method, path, query, question.headers, request_id, origin)

    def _send(self, exchange: Exchange, answer: OwnAnswer) -> None:
        exchange.keep = exchange.kept
        exchange.status = answer.status
        exchange.send(
            serialise(
                answer,
                now=self._door.clock.time(),
                connection=exchange.client.listener.keep_alive if exchange.keep else CLOSE,
                bodiless=exchange.head.method == "HEAD",
            )
        )

    def _turn_away(self, client: ServerConnection, decision: Decision) -> None:
        now = self._door.clock.time()
        refusal = refuse(decision, now)
        client.write(serialise(refusal, now=now, connection=CLOSE, bodiless=False))
        self._door.observer.request_finished(decision, decision.status, 0.0)

    def _new_id(self) -> str:
        return self._door.request_id((), trusted=False)[0]


class _Body:
    """The body that comes with a question, if one does."""

    def __init__(self, body: InboundBody | None) -> None:
        self._body = body

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Return the whole content. ClientLeftError where it is broken."""
        if self._body is None:
            return b""
        try:
            return await self._body.read(limit, holder, decoder)
        except ProtocolError as error:
            raise ClientLeftError("the body is broken") from error


def _allowing(visit: Visit) -> Fields:
    """Return the fields of "allow"."""
    marks, _ = visit.marks()
    return (*marks, *identity_fields(visit.decision.identity))


def _for_asker(answer: OwnAnswer, asker: Asker) -> OwnAnswer:
    """Give a refusal the status that the program passes on; nginx gets the rest in fields."""
    if asker is not Asker.NGINX:
        return answer
    shown = _UNAUTHORIZED if answer.status == _UNAUTHORIZED else _FORBIDDEN
    whole = ((STATUS_FIELD, b"%d" % answer.status), (PROBLEM_FIELD, _in_a_field(answer.body)))
    return OwnAnswer(shown, (*answer.headers, *whole), answer.body)


def _in_a_field(body: bytes) -> bytes:
    """Write JSON as a field's value: nothing but printable ASCII."""
    text = body.decode()
    plain = text.isascii() and text.isprintable()
    return body if plain else json.dumps(orjson.loads(body)).encode("ascii")
