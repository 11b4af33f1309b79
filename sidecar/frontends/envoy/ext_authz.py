"""envoy.service.auth.v3.Authorization: decides on a call that Envoy forwards.

A call counts once "allow" is on the way, as at every door that sees the request alone, and is given
back where that could not be written. A fault is an error of the RPC, for which Envoy refuses the
call (`failure_mode_allow` is false unless it is set).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from sidecar.frontends.door import ID_FIELD, Door, Visit
from sidecar.frontends.envoy.check_answers import allowing, refusing
from sidecar.frontends.envoy.checks import CallCheck, read_check
from sidecar.frontends.envoy.peers import host_of
from sidecar.frontends.envoy.sent_body import sent_body
from sidecar.frontends.envoy.shared_checks import SharedChecks
from sidecar.frontends.fields import field_of

SERVICE: Final = "envoy.service.auth.v3.Authorization"


class ExtAuthz:
    """Answers checks."""

    def __init__(self, door: Door, is_trusted: Callable[[str], bool]) -> None:
        """Decide by `door`; `is_trusted`: whether an address's request IDs are believed."""
        self._door = door
        self._is_trusted = is_trusted
        self._checks = SharedChecks(door.clock)

    @property
    def handler(self) -> Any:  # noqa: ANN401 - grpcio has no types
        """What the server calls. The answer is bytes already."""
        check = grpc.unary_unary_rpc_method_handler(
            self.check, request_deserializer=CheckRequest.FromString
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})

    async def check(self, request: CheckRequest, context: Any) -> bytes:  # noqa: ANN401
        """Answer one check."""
        envoy = host_of(context.peer())
        check = read_check(request, envoy)
        if isinstance(check, str):
            return self._refused(check)
        answered = self._checks.answer(check.name)
        if answered is not None:
            return answered
        deciding = self._checks.join(check.name, self._visit(check, envoy))
        answer = b""
        try:
            await asyncio.wait((deciding.task,))
            if not context.cancelled():
                answer = self._answer(check, deciding.task.result())
        finally:
            if answer:
                self._checks.written(check.name, deciding, answer)
            else:
                self._checks.leave(check.name, deciding)
        return answer

    async def _visit(self, check: CallCheck, envoy: str) -> Visit:
        given = field_of(check.call.headers, ID_FIELD)
        call = self._door.asked_about(check.call, given, trusted=self._is_trusted(envoy))
        body = sent_body(check.content, self._door.memory, partial=check.partial)
        try:
            visit = await self._door.enter(call, body)
        finally:
            body.let_go()
        visit.refuse_unkept()
        if visit.answer is None:
            visit.begin()
        return visit

    def _answer(self, check: CallCheck, visit: Visit) -> bytes:
        if visit.answer is None:
            return _bytes(allowing(visit, check.call.headers))
        return _bytes(refusing(visit.answer, visit.decision))

    def _refused(self, why: str) -> bytes:
        answer, decision = self._door.refuse_unread(why)
        self._door.observer.request_finished(decision, decision.status, 0.0)
        return _bytes(refusing(answer, decision))


def _bytes(message: Any) -> bytes:  # noqa: ANN401 - Envoy's message
    written: bytes = message.SerializeToString()
    return written
