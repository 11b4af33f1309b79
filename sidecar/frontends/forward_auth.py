"""Forward auth: decides for a program that forwards by itself, on our own data plane.

An allowed call is answered 200 with the fields that the program copies into the call; a denied one
is answered with its refusal. What happens to the call afterwards is not seen here: it counts once
"allow" is written, and is given back where that could not be written.
"""

from __future__ import annotations

import json
from typing import Final

import orjson

from sidecar.answers.refusals import quota_headers
from sidecar.answers.writer import OwnAnswer
from sidecar.domain.model import AttemptEnd, Decision
from sidecar.frontends.door import Door, Visit
from sidecar.frontends.questions import PATH, read_question
from sidecar.http1.errors import ProtocolError
from sidecar.http1.shared_lines import CLOSE, date_line
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.drain import Drain
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.inbound import NO_BODY
from sidecar.proxy.own_answers import OwnAnswers

STATUS_FIELD: Final = b"X-Quota-Status"
PROBLEM_FIELD: Final = b"X-Quota-Problem"
"""The status and the body of a refusal, for a program that passes 401 and 403 and no body."""

_ALLOW: Final = (
    b"HTTP/1.1 200 OK\r\n%bx-request-id: %b\r\nx-bb-org-id: %b\r\nx-bb-user-id: %b\r\n"
    b"x-bb-plan: %b\r\nx-bb-role: %b\r\n%b%bcontent-length: 0\r\n\r\n"
)

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
        self.answers: Final = OwnAnswers(
            door.engine, clock=door.clock, observer=door.observer, new_id=door.new_id
        )

    async def serve(self, exchange: Exchange) -> None:
        """Answer one question, and end its exchange."""
        try:
            head, body = exchange.head, exchange.body
            question = read_question(head, has_body=body is not None)
            if isinstance(question, str):
                asked = head.target.startswith(PATH)
                self._refuse(exchange, _BAD_REQUEST if asked else _NOT_FOUND, question)
                return
            trusted = exchange.client.trusted
            call = self._door.asked_about(question, head.request_id, trusted=trusted)
            try:
                visit = await self._door.enter(call, NO_BODY if body is None else body)
            except ProtocolError:
                self._refuse(exchange, _BAD_REQUEST, "")
                return
            visit.refuse_unkept()
            if visit.answer is None:
                self._allow(exchange, visit)
            else:
                shown = _for_nginx(visit.answer) if question.of_nginx else visit.answer
                self.answers.send(exchange, shown)
                visit.end(visit.answer.status, AttemptEnd.UNREACHED)
        finally:
            exchange.end()

    def _allow(self, exchange: Exchange, visit: Visit) -> None:
        """Write "allow", and end the attempt: nothing of the call is seen after that."""
        visit.begin()
        client = exchange.client
        exchange.keep = exchange.kept
        exchange.status = _OK
        kept = client.listener.keep_alive if exchange.keep else CLOSE
        exchange.send(_allowing(visit.decision, self._door.clock.time(), kept))
        lost = client.transport.is_closing()
        visit.end(0 if lost else _OK, AttemptEnd.UNREACHED if lost else AttemptEnd.DONE)

    def _refuse(self, exchange: Exchange, status: int, detail: str) -> None:
        """Answer what is no question."""
        answer, _ = self._door.refuse_unread(detail, status)
        self.answers.send(exchange, answer)


def _allowing(decision: Decision, now: float, connection: bytes) -> bytes:
    """Write "allow". Each identity field is there: an empty one overwrites too.

    `connection` are the lines that say whether the connection is kept.
    """
    who = decision.identity
    marks = b""
    for mark in quota_headers(decision, now):
        marks += b"%b: %b\r\n" % mark
    return _ALLOW % (
        date_line(int(now)),
        decision.request_id.encode("ascii"),
        b"" if who is None else who.org_id.encode("latin-1"),
        b"" if who is None else who.user_id.encode("latin-1"),
        b"" if who is None else who.plan.encode("latin-1"),
        b"" if who is None else who.role.encode("latin-1"),
        marks,
        connection,
    )


def _for_nginx(answer: OwnAnswer) -> OwnAnswer:
    """Give a refusal a status that nginx passes on, and the rest in fields."""
    shown = _UNAUTHORIZED if answer.status == _UNAUTHORIZED else _FORBIDDEN
    whole = ((STATUS_FIELD, b"%d" % answer.status), (PROBLEM_FIELD, _in_a_field(answer.body)))
    return OwnAnswer(shown, (*answer.headers, *whole), answer.body)


def _in_a_field(body: bytes) -> bytes:
    """Write JSON as a field's value: nothing but printable ASCII."""
    text = body.decode()
    plain = text.isascii() and text.isprintable()
    return body if plain else json.dumps(orjson.loads(body)).encode("ascii")
