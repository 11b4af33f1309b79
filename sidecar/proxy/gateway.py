"""The path of a request, top to bottom: call, decide, refuse or forward, relay, conclude.

A request is forwarded only with a `Permit`, the engine's proof of admission. It may be sent again
where the product closed a kept connection: if it provably received nothing, or if the request is
safe and free.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Final, Protocol

from sidecar.answers import early
from sidecar.answers.cors import show_to_page
from sidecar.answers.failures import fault, last_hop, upstream_failure
from sidecar.answers.refusals import quota_headers, refuse
from sidecar.answers.writer import OwnAnswer, serialise
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.cors import Cors
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import AttemptEnd, Call, Decision, Permit, Reason, RequestIdOrigin
from sidecar.domain.ports import BodySource, Clock, RequestObserver
from sidecar.domain.trace import trace_fields
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import ConnectFailedError, PeerFailure, ProtocolError
from sidecar.http1.pool import Pool
from sidecar.http1.shared_lines import CLOSE
from sidecar.proxy import headers
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.drain import Drain
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.realtime import RealtimeEngine, settling_of
from sidecar.proxy.relay import Relay
from sidecar.proxy.settling import Settling
from sidecar.proxy.untrusted import UntrustedProxies

log = logging.getLogger("sidecar.proxy")

PROBES: Final = 16
"""Requests beyond `--max-inflight`, and connections to the product, for routes that meter nothing:
health checks get through while everything else is busy."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")


class Admission(RealtimeEngine, Protocol):
    """The engine, as the data plane needs it."""

    @property
    def errors(self) -> ErrorFormat:
        """The error format of what is refused before it has a route."""

    @property
    def cors(self) -> Cors | None:
        """Which pages may read the answers that are not the product's."""

    def meters(self, call: Call) -> bool:
        """Whether a call's route meters."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        """Decide what is to happen to a call."""


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
    """Answers exchanges; stateless for each request."""

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
        self._untrusted = UntrustedProxies()
        self.memory = BodyMemory() if memory is None else memory
        self.drain = Drain()
        # Bound once: in Python 3.11 each get_running_loop() is a system call.
        self._new_future = asyncio.get_running_loop().create_future

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; its status and duration are counted, however it ends."""
        started = self._clock.monotonic()
        drain = self.drain
        drain.inflight += 1
        call = self._call(exchange)
        decision: Decision | None = None
        try:
            body = exchange.body
            if (
                drain.draining
                or drain.inflight > self._max_inflight
                or (body is not None and self.memory.used >= self.memory.limit)
            ):
                decision = self._check_capacity(call, exchange)
            if decision is None:
                if body is not None and not body.done:
                    await body.prime()
                decision = await self._engine.decide(call, _NO_BODY if body is None else body)
            if decision.permit is None:
                self._answer(exchange, refuse(decision, self._clock.time()))
            else:
                await self._forward(exchange, decision, decision.permit, started)
        except ProtocolError as error:  # the client broke its own body
            self._answer_broken(exchange, decision or self._undecided(call), error)
        except NoRoomError:
            decision = early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_BODIES)
            self._answer(exchange, refuse(decision, self._clock.time()))
        except Exception:
            decision = decision or self._undecided(call)
            trace = trace_fields(call.headers)
            extra = {"request_id": call.request_id, "route": decision.route, **trace}
            log.exception("fault", extra=extra)
            self._answer_fault(exchange, decision)
        finally:
            if drain.draining:
                drain.leave()
            else:
                drain.inflight -= 1
            try:
                seconds = self._clock.monotonic() - started
                self._observer.request_finished(
                    decision or self._undecided(call), exchange.status, seconds
                )
            finally:
                exchange.end()

    def _check_capacity(self, call: Call, exchange: Exchange) -> Decision | None:
        """Refuse while draining, over `--max-inflight`, or with no memory left for bodies.

        Nothing has been asked or charged by then.
        """
        if self.drain.draining:
            return early.draining(call.request_id, self._engine.errors)
        over = self.drain.inflight - self._max_inflight
        if over > 0 and (over > PROBES or self._engine.meters(call)):
            return early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_REQUESTS)
        if exchange.body is not None and self.memory.used >= self.memory.limit:
            return early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_BODIES)
        return None

    async def _forward(
        self, exchange: Exchange, decision: Decision, permit: Permit, started: float
    ) -> None:
        """Send the call to the upstream and relay the answer.

        Whatever happens, the attempt is concluded: as unreached until the first byte leaves.
        """
        upstream: ClientConnection | None = None
        relay: Relay | None = None
        settling: Settling | None = None
        try:
            if permit.terms is not None:
                settling = settling_of(
                    exchange, decision, permit, permit.terms,
                    engine=self._engine, drain=self.drain,
                    clock=self._clock, observer=self._observer,
                )  # fmt: skip
            if exchange.head.last_hop:
                self._answer(exchange, last_hop(decision, self._clock.time()))
                return
            free = decision.reason is Reason.UNMETERED
            upstream = self._upstream.take(reserved=free) or await self._upstream.connect(
                reserved=free
            )
            relay = self._relay(exchange, upstream, decision, settling)
            # No name for the request here: it would keep a large body until the answer has ended.
            relay.start(
                self._request(exchange, decision, relay, settling),
                complete=exchange.body is None or exchange.body.done,
            )
            self._observer.forwarded(decision.route, self._clock.monotonic() - started)
            ended = await relay.finished
            if relay.resend and (relay.unreached or _may_repeat(exchange, decision, ended)):
                again = relay.resend
                upstream = relay = None
                upstream = await self._upstream.connect(reserved=free)
                relay = self._relay(exchange, upstream, decision, settling)
                relay.start(again, complete=True)
                again = b""  # it would be kept until the answer has ended
                ended = await relay.finished
            if ended is not None:
                self._end_early(exchange, decision, ended, relay.detail)
        except ConnectFailedError as error:
            self._observer.upstream_failed(error.kind, str(error))
            self._answer(exchange, upstream_failure(decision, error.kind, self._clock.time()))
        except BaseException:
            if relay is not None:
                relay.abandon()
            elif upstream is not None:
                upstream.put_back()
            raise
        finally:
            end = AttemptEnd.UNREACHED if relay is None else relay.attempt_end
            ended_as = (end, None) if settling is None else settling.ended(end)
            if ended_as is not None:
                self._engine.attempt_ended(permit, *ended_as)

    def _relay(
        self,
        exchange: Exchange,
        upstream: ClientConnection,
        decision: Decision,
        settling: Settling | None,
    ) -> Relay:
        marks = quota_headers(decision, self._clock.time())
        added = b"X-Request-ID: %b\r\n" % decision.request_id.encode("ascii")
        for mark in marks:
            added += b"%b: %b\r\n" % mark
        relay = Relay(
            exchange,
            upstream,
            added,
            tells_quota=len(marks) > 1,
            first_byte_timeout=self._first_byte_timeout,
            finished=self._new_future(),
            settling=settling,
        )
        exchange.relay = relay
        return relay

    def _request(
        self,
        exchange: Exchange,
        decision: Decision,
        relay: Relay,
        settling: Settling | None,
    ) -> bytes:
        """Return the head for the upstream with the part of the body that has arrived."""
        client, head, body = exchange.client, exchange.head, exchange.body
        if settling is not None:
            head = settling.request_head(head, body)
        if not client.trusted:
            self._untrusted.search(client.peer, head.fields)
        host = head.host or self._upstream.origin.authority.encode("ascii")
        data = headers.request_head(
            head,
            host=host,
            forwarded=headers.forwarded_lines(
                head.fields, client.peer, host, trusted=client.trusted
            )
            + client.listener.via[head.minor],
            identity=decision.identity,
            request_id=decision.request_id.encode("ascii"),
            expect=head.expects_continue and body is not None and body.owes_continue,
        )
        if body is None:
            return data
        return data + body.attach(relay.send_body)

    # answers of our own

    def _end_early(
        self,
        exchange: Exchange,
        decision: Decision,
        ended: PeerFailure | ProtocolError,
        detail: str,
    ) -> None:
        """End an exchange whose answer is incomplete: answer, or close the connection."""
        if isinstance(ended, ProtocolError):
            self._answer_broken(exchange, decision, ended)
            return
        self._observer.upstream_failed(ended, detail)
        if exchange.answered:
            exchange.cut()
        else:
            self._answer(exchange, upstream_failure(decision, ended, self._clock.time()))

    def _answer_broken(self, exchange: Exchange, decision: Decision, error: ProtocolError) -> None:
        """Answer a request whose body has an invalid framing, and close the connection."""
        if exchange.answered:
            exchange.cut()
            return
        broken = early.broken_body(decision, error.status, error.detail)
        self._answer(exchange, refuse(broken, self._clock.time()))

    def _answer_fault(self, exchange: Exchange, decision: Decision) -> None:
        """Answer a request that failed through a bug of ours; an answer that has begun is cut."""
        if exchange.answered:
            exchange.cut()
        else:
            self._answer(exchange, fault(decision))

    def _answer(self, exchange: Exchange, answer: OwnAnswer) -> None:
        """Send an answer of our own; the connection is kept where the request has arrived whole."""
        exchange.keep = exchange.kept
        self.send_answer(exchange, show_to_page(answer, self._engine.cors, exchange.head.fields))

    def send_answer(self, exchange: Exchange, answer: OwnAnswer) -> None:
        """Send an answer of our own, as it is; `exchange.keep` says what comes after it."""
        exchange.status = answer.status
        exchange.send(
            serialise(
                answer,
                now=self._clock.time(),
                connection=exchange.client.listener.keep_alive if exchange.keep else CLOSE,
                bodiless=exchange.head.method == "HEAD",
            )
        )

    def refuse_unparsed(self, client: ServerConnection, error: ProtocolError) -> None:
        """Answer what never became a request."""
        errors = self._engine.errors
        self._turn_away(
            client, early.unreadable(self._new_id(), errors, error.status, error.detail)
        )

    def refuse_overloaded(self, client: ServerConnection) -> None:
        """Answer a connection over `--max-connections`, before its first request."""
        errors = self._engine.errors
        self._turn_away(
            client, early.overloaded(self._new_id(), errors, early.TOO_MANY_CONNECTIONS)
        )

    def _turn_away(self, client: ServerConnection, decision: Decision) -> None:
        now = self._clock.time()
        refusal = refuse(decision, now)
        client.write(serialise(refusal, now=now, connection=CLOSE, bodiless=False))
        self._observer.request_finished(decision, decision.status, 0.0)

    def _undecided(self, call: Call) -> Decision:
        """Make a placeholder decision, for the metrics of a call that ended before it had one."""
        return early.unreadable(call.request_id, self._engine.errors)

    # what a request is

    def _call(self, exchange: Exchange) -> Call:
        """Describe the request as the engine sees it."""
        head = exchange.head
        given = head.request_id
        if given is not None and _REQUEST_ID.fullmatch(given):
            trusted = exchange.client.trusted
            origin = RequestIdOrigin.TRUSTED if trusted else RequestIdOrigin.CLIENT
            request_id = given.decode("ascii")
        else:
            origin = RequestIdOrigin.GENERATED
            self._serial += 1
            request_id = f"{self._nonce}-{self._serial:x}"
        fields = head.fields
        if not head.connection <= headers.COMMON_OPTIONS:
            fields = headers.decided_on(head)
        return Call(head.method, head.path, head.query, fields, request_id, origin)

    def _new_id(self) -> str:
        self._serial += 1
        return f"{self._nonce}-{self._serial:x}"


def _may_repeat(exchange: Exchange, decision: Decision, ended: object) -> bool:
    """Whether a request may run twice: the product closed a kept connection without an answer.

    Safe methods may be repeated (RFC 9110, 9.2.2); what is metered never is.
    """
    return (
        ended is PeerFailure.CLOSED_EARLY
        and decision.reason is Reason.UNMETERED
        and exchange.head.method in _SAFE
        and exchange.body is None
    )
