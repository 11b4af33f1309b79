"""The path of a request, top to bottom: decide, refuse or forward, relay, settle."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Final, Protocol

from sidecar.answers import early
from sidecar.answers.failures import fault, upstream_failure
from sidecar.answers.refusals import quota_headers, refuse
from sidecar.answers.writer import OwnAnswer, serialise
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import (
    Call,
    Decision,
    ErrorFormat,
    Execution,
    Permit,
    RequestIdOrigin,
)
from sidecar.domain.ports import BodySource, Clock, RequestObserver
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import ConnectFailedError, PeerFailure, ProtocolError
from sidecar.http1.heads import RequestHead
from sidecar.http1.pool import Pool
from sidecar.proxy import headers
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.downstream import ServerConnection
from sidecar.proxy.relay import Relay

log = logging.getLogger("sidecar.proxy")

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")


class Admission(Protocol):
    """The engine, as the data plane needs it."""

    @property
    def errors(self) -> ErrorFormat:
        """The error format of what is refused before it has a route."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        """Decide what is to happen to a call."""

    def settle(self, permit: Permit, execution: Execution) -> None:
        """Hear how the attempt of a permitted call ended; once for each permit."""


class _NoBody:
    """The body of a call that has none."""

    async def read(
        self,
        limit: int,  # noqa: ARG002 - the shape of a BodySource
        holder: str = "",  # noqa: ARG002
        decoder: int = 0,  # noqa: ARG002
    ) -> bytes | None:
        """Return nothing, which fits anywhere."""
        return b""


_NO_BODY: Final = _NoBody()


class Gateway:
    """Serves one exchange at a time for each connection; holds no state of a request itself."""

    def __init__(
        self,
        *,
        engine: Admission,
        upstream: Pool,
        clock: Clock,
        observer: RequestObserver,
        max_inflight: int,
        first_byte_timeout: float | None,
        nonce: str,
        memory: BodyMemory | None = None,
    ) -> None:
        self._engine = engine
        self._upstream = upstream
        self._clock = clock
        self._observer = observer
        self._max_inflight = max_inflight
        self._first_byte_timeout = first_byte_timeout
        self._nonce = nonce
        self._serial = 0
        self.memory = BodyMemory() if memory is None else memory
        # Bound once: in Python 3.11 each get_running_loop() is a system call.
        self._new_future = asyncio.get_running_loop().create_future
        self.inflight = 0
        self.draining = False
        self.idle = asyncio.Event()

    async def serve(self, client: ServerConnection, head: RequestHead) -> None:
        """Answer one request; every end of it is observed, whatever the end."""
        started = self._clock.monotonic()
        call = self._call(client, head)
        decision: Decision | None = None
        code = 0
        self.inflight += 1
        try:
            decision = self._check_capacity(call, client) or await self._decide(client, call)
            if decision.permit is None:
                code = self._refuse(client, head, decision)
            else:
                code = await self._forward(client, head, decision, decision.permit, started)
        except ProtocolError as error:  # the client broke its own body
            code = self._answer_broken(client, head, decision or self._undecided(call), error)
        except NoRoomError:
            decision = early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_BODIES)
            code = self._refuse(client, head, decision)
        except Exception:
            decision = decision or self._undecided(call)
            log.exception("fault", extra={"request_id": call.request_id, "route": decision.route})
            code = self._answer_fault(client, head, decision)
        finally:
            self.inflight -= 1
            if self.draining and self.inflight == 0:
                self.idle.set()
            if not code and client.relay is not None:
                code = client.relay.status  # the client left in the middle of the answer
            try:
                seconds = self._clock.monotonic() - started
                self._observer.request_finished(decision or self._undecided(call), code, seconds)
            finally:
                client.end_exchange(keep=self._keeps(client, head))

    async def _decide(self, client: ServerConnection, call: Call) -> Decision:
        body = client.body
        if body is None:
            return await self._engine.decide(call, _NO_BODY)
        if not body.done:
            await body.prime()
        return await self._engine.decide(call, body)

    async def _forward(
        self,
        client: ServerConnection,
        head: RequestHead,
        decision: Decision,
        permit: Permit,
        started: float,
    ) -> int:
        """Send the call to the upstream and relay the answer; return the status sent.

        Whatever happens, the permit is settled: as unreached until the first byte leaves.
        """
        upstream: ClientConnection | None = None
        relay: Relay | None = None
        try:
            upstream = self._upstream.take() or await self._upstream.connect()
            relay = self._relay(client, upstream, head, decision)
            # No name for the request here: it would keep a large body until the answer has ended.
            relay.start(
                self._request(client, head, decision, relay),
                complete=client.body is None or client.body.done,
            )
            self._observer.forwarded(decision.route, self._clock.monotonic() - started)
            ended = await relay.finished
            if relay.unreached and relay.resend:
                again = relay.resend
                upstream = relay = None
                upstream = await self._upstream.connect()
                relay = self._relay(client, upstream, head, decision)
                relay.start(again, complete=True)
                del again
                ended = await relay.finished
            if ended is None:
                return relay.status
            return self._cut(client, head, decision, ended)
        except ConnectFailedError as error:
            self._observer.upstream_failed(error.kind)
            cause = {"kind": error.kind.value, "error": str(error)}
            log.warning("upstream_unreachable", extra=cause)
            return self._answer(client, head, self._failure(decision, error.kind))
        except BaseException:
            if relay is not None:
                relay.abandon()
            elif upstream is not None:
                upstream.put_back()
            raise
        finally:
            self._engine.settle(permit, Execution.UNREACHED if relay is None else relay.execution)

    def _relay(
        self,
        client: ServerConnection,
        upstream: ClientConnection,
        head: RequestHead,
        decision: Decision,
    ) -> Relay:
        marks = quota_headers(decision, self._clock.time())
        added = b"X-Request-ID: %b\r\n" % decision.request_id.encode("ascii")
        for mark in marks:
            added += b"%b: %b\r\n" % mark
        relay = Relay(
            client,
            upstream,
            head,
            added,
            tells_quota=len(marks) > 1,
            keep=head.keep_alive and not self.draining,
            first_byte_timeout=self._first_byte_timeout,
            finished=self._new_future(),
        )
        client.relay = relay
        return relay

    def _request(
        self, client: ServerConnection, head: RequestHead, decision: Decision, relay: Relay
    ) -> bytes:
        """Return the head for the upstream with what is here of the body."""
        body = client.body
        host = head.host or self._upstream.origin.authority.encode("ascii")
        data = headers.request_head(
            head,
            host=host,
            forwarded=headers.forwarded_lines(
                head.fields, client.peer, host, trusted=client.trusted
            ),
            identity=decision.identity,
            request_id=decision.request_id.encode("ascii"),
            expect=body is not None and body.owes_continue,
        )
        if body is None:
            return data
        return data + body.attach(relay.send_body)

    def _check_capacity(self, call: Call, client: ServerConnection) -> Decision | None:
        """Refuse what there is no room for, before anything is asked or charged."""
        if self.draining:
            return early.draining(call.request_id, self._engine.errors)
        if self.inflight > self._max_inflight:
            return early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_REQUESTS)
        if client.body is not None and self.memory.is_full:
            return early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_BODIES)
        return None

    def _cut(
        self,
        client: ServerConnection,
        head: RequestHead,
        decision: Decision,
        ended: PeerFailure | ProtocolError,
    ) -> int:
        """End an exchange whose answer is not whole: say so, or cut the connection."""
        if isinstance(ended, ProtocolError):
            return self._answer_broken(client, head, decision, ended)
        self._observer.upstream_failed(ended)
        if not client.answered:
            return self._answer(client, head, self._failure(decision, ended))
        status = client.relay.status if client.relay is not None else 0
        client.abort()
        return status

    def _answer_broken(
        self,
        client: ServerConnection,
        head: RequestHead,
        decision: Decision,
        error: ProtocolError,
    ) -> int:
        """Answer a request whose body is not what its head said; the connection ends with it."""
        if client.answered:
            client.abort()
            return client.relay.status if client.relay is not None else 0
        broken = early.broken_body(decision, error.status, error.detail)
        return self._refuse(client, head, broken)

    def _answer_fault(self, client: ServerConnection, head: RequestHead, decision: Decision) -> int:
        """Answer a request that our own fault ended; what has begun is cut."""
        if client.answered:
            client.abort()
            return 0
        return self._answer(client, head, fault(decision))

    def refuse_unparsed(self, client: ServerConnection, error: ProtocolError) -> None:
        """Answer what never became a call."""
        errors = self._engine.errors
        self._turn_away(
            client, early.unreadable(self._new_id(), errors, error.status, error.detail)
        )

    def refuse_overloaded(self, client: ServerConnection) -> None:
        """Answer a connection that there is no room for, before it has asked for anything."""
        errors = self._engine.errors
        self._turn_away(
            client, early.overloaded(self._new_id(), errors, early.TOO_MANY_CONNECTIONS)
        )

    def _undecided(self, call: Call) -> Decision:
        """Stand for the decision of a call that ended before there was one."""
        return early.unreadable(call.request_id, self._engine.errors)

    def _turn_away(self, client: ServerConnection, decision: Decision) -> None:
        refusal = refuse(decision, self._clock.time())
        client.write(serialise(refusal, keep=False, minor=1, bodiless=False))
        self._observer.request_finished(decision, decision.status, 0.0)

    def _failure(self, decision: Decision, kind: PeerFailure) -> OwnAnswer:
        return upstream_failure(decision, kind, self._clock.time())

    def _refuse(self, client: ServerConnection, head: RequestHead, decision: Decision) -> int:
        return self._answer(client, head, refuse(decision, self._clock.time()))

    def _answer(self, client: ServerConnection, head: RequestHead, answer: OwnAnswer) -> int:
        """Send an answer of our own; the connection lives on where the request was whole."""
        client.write(
            serialise(
                answer,
                keep=self._keeps(client, head),
                minor=head.minor,
                bodiless=head.method == "HEAD",
            )
        )
        return answer.status

    def _keeps(self, client: ServerConnection, head: RequestHead) -> bool:
        """Say whether the connection takes another request after this one."""
        body = client.body
        if self.draining or not head.keep_alive or (body is not None and not body.done):
            return False
        relay = client.relay
        return head.upgrade is None and (relay is None or relay.keep)

    def _call(self, client: ServerConnection, head: RequestHead) -> Call:
        request_id, origin = self._request_id(client, head)
        path, _, query = head.target.decode("ascii").partition("?")
        return Call(head.method, path, query, headers.decided_on(head), request_id, origin)

    def _request_id(
        self, client: ServerConnection, head: RequestHead
    ) -> tuple[str, RequestIdOrigin]:
        """Take the request ID from the caller where it is one, else make one."""
        given = head.request_id
        if given is not None and _REQUEST_ID.fullmatch(given):
            origin = RequestIdOrigin.TRUSTED if client.trusted else RequestIdOrigin.CLIENT
            return given.decode("ascii"), origin
        return self._new_id(), RequestIdOrigin.GENERATED

    def _new_id(self) -> str:
        self._serial += 1
        return f"{self._nonce}-{self._serial:x}"
