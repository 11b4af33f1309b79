"""The path of a request, top to bottom: call, decide, refuse or forward, relay, conclude.

A request is forwarded only with a `Permit`, the engine's proof of admission. It may be sent again
where the product closed a kept connection: if it provably received nothing, or if the request is
safe and free.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Final, Protocol

from sidecar.answers import early
from sidecar.answers.failures import last_hop
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import AttemptEnd, Call, Decision, Permit, Reason, RequestIdOrigin
from sidecar.domain.ports import BodySource, Clock, RequestObserver
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import ConnectFailedError, PeerFailure, ProtocolError
from sidecar.http1.pool import Pool
from sidecar.proxy import headers
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.drain import Drain
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.inbound import NO_BODY
from sidecar.proxy.own_answers import AnswerRules, OwnAnswers
from sidecar.proxy.realtime import RealtimeEngine, settling_of
from sidecar.proxy.relay import Relay
from sidecar.proxy.settling import Settling
from sidecar.proxy.untrusted import UntrustedProxies

PROBES: Final = 16
"""Requests beyond `--max-inflight`, and connections to the product, for routes that meter nothing:
health checks get through while everything else is busy."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")


class Admission(RealtimeEngine, AnswerRules, Protocol):
    """The engine, as the data plane needs it."""

    def meters(self, call: Call) -> bool:
        """Whether a call's route meters."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        """Decide what is to happen to a call."""


class Gateway:
    """Decides and forwards; what belongs to one request is in its `Exchange`."""

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
        self.answers = OwnAnswers(engine, clock=clock, observer=observer, new_id=self._new_id)
        self._observer = observer
        self._max_inflight = max_inflight
        self._new_relay = partial(
            Relay, clock=clock, first_byte_timeout=first_byte_timeout, finished=self._relayed
        )
        self._nonce = nonce
        self._serial = 0
        self._untrusted = UntrustedProxies()
        self.memory = BodyMemory() if memory is None else memory
        self.drain = Drain()

    async def serve(self, exchange: Exchange) -> None:
        """Decide on one request, and answer it or forward it.

        Its status and duration are counted, however it ends.
        """
        exchange.started = self._clock.monotonic()
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
                decision = await self._engine.decide(call, NO_BODY if body is None else body)
            if decision.permit is None:
                self.answers.refuse(exchange, decision)
            else:
                await self._forward(exchange, decision, decision.permit)
        except ProtocolError as error:  # the client broke its own body
            self.answers.refuse_broken(exchange, decision or self._undecided(call), error)
        except NoRoomError:
            decision = early.overloaded(call.request_id, self._engine.errors, early.TOO_MANY_BODIES)
            self.answers.refuse(exchange, decision)
        except Exception as error:  # noqa: BLE001 - the answer is 500, and the log says why
            decision = decision or self._undecided(call)
            self.answers.report_fault(exchange, decision, error)
        finally:
            if exchange.relay is None:
                self._end(exchange, decision or self._undecided(call))

    def _end(self, exchange: Exchange, decision: Decision) -> None:
        """Count an exchange out, and give its connection back."""
        drain = self.drain
        if drain.draining:
            drain.leave()
        else:
            drain.inflight -= 1
        try:
            seconds = self._clock.monotonic() - exchange.started
            self._observer.request_finished(decision, exchange.status, seconds, exchange.added)
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

    async def _forward(self, exchange: Exchange, decision: Decision, permit: Permit) -> None:
        """Send the call to the upstream: from then on, a relay has the exchange.

        If no relay was started, the attempt is concluded here, as unreached.
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
                self.answers.give(exchange, last_hop(decision, self._clock.time()))
                return
            head = self._request_head(exchange, decision, settling)
            free = decision.reason is Reason.UNMETERED
            upstream = self._upstream.take(reserved=free)
            if upstream is None:
                upstream = await self._upstream.connect(reserved=free)
            exchange.added = self._clock.monotonic() - exchange.started
            relay = self._new_relay(exchange, upstream, decision, permit, settling)
            exchange.relay = relay
            relay.start(head)
        except ConnectFailedError as error:
            self.answers.report_failure(exchange, decision, error.kind, str(error))
        except BaseException:
            exchange.relay = None
            if relay is not None:
                relay.abandon()
            elif upstream is not None:
                upstream.put_back()
            raise
        finally:
            if exchange.relay is None:
                end = AttemptEnd.UNREACHED if relay is None else relay.attempt_end
                self._conclude(permit, end, settling)

    def _relayed(self, relay: Relay) -> None:
        """End an exchange whose answer has ended, or send its request once more."""
        exchange, decision, ended = relay.exchange, relay.decision, relay.ended
        if ended is not None and relay.resend and (relay.unreached or _may_repeat(relay)):
            exchange.relay = None
            exchange.task = task = asyncio.create_task(self._send_again(relay))
            task.add_done_callback(partial(self._sent_again, relay))
            return
        try:
            self._conclude(relay.permit, relay.attempt_end, relay.settling)
            if isinstance(ended, ProtocolError):
                self.answers.refuse_broken(exchange, decision, ended)
            elif ended is not None:
                self.answers.report_failure(exchange, decision, ended, relay.detail)
        except Exception as error:  # noqa: BLE001 - as above
            self.answers.report_fault(exchange, decision, error)
        finally:
            self._end(exchange, decision)

    async def _send_again(self, lost: Relay) -> None:
        """Send the request of a relay once more: the product had closed its connection."""
        exchange, decision = lost.exchange, lost.decision
        try:
            upstream = await self._upstream.connect(reserved=decision.reason is Reason.UNMETERED)
        except ConnectFailedError as error:
            self.answers.report_failure(exchange, decision, error.kind, str(error))
            return
        relay = self._new_relay(exchange, upstream, decision, lost.permit, lost.settling)
        request, lost.resend = lost.resend, b""
        exchange.relay = relay
        relay.start(request, again=True)

    def _sent_again(self, lost: Relay, task: asyncio.Task[None]) -> None:
        """End an exchange whose request could not be sent again: its client may have left."""
        exchange, decision = lost.exchange, lost.decision
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.answers.report_fault(exchange, decision, error)
        if exchange.relay is None:
            self._conclude(lost.permit, AttemptEnd.UNREACHED, lost.settling)
            self._end(exchange, decision)

    def _conclude(self, permit: Permit, end: AttemptEnd, settling: Settling | None) -> None:
        """Report to the engine how the attempt ended."""
        ended_as = (end, None) if settling is None else settling.ended(end)
        if ended_as is not None:
            self._engine.attempt_ended(permit, *ended_as)

    def _request_head(
        self, exchange: Exchange, decision: Decision, settling: Settling | None
    ) -> bytes:
        """Return the head for the upstream."""
        client, head, body = exchange.client, exchange.head, exchange.body
        if settling is not None:
            head = settling.request_head(head, body)
        if not client.trusted and self._untrusted.left:
            self._untrusted.search(client.peer, head.fields)
        host = head.host or self._upstream.origin.authority.encode("ascii")
        if client.trusted:
            forwarded = headers.extended_lines(head.fields, client.peer, host)
        else:
            forwarded = headers.own_lines[client.peer, host]
        return headers.request_head(
            head,
            host=host,
            forwarded=forwarded + client.listener.via[head.minor],
            identity=decision.identity,
            request_id=decision.request_id.encode("ascii"),
            expect=head.expects_continue and body is not None and body.owes_continue,
        )

    def _undecided(self, call: Call) -> Decision:
        """Return a decision for the metrics of a call that ended before it had one."""
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
        if head.odd_names or not head.connection <= headers.COMMON_OPTIONS:
            fields = headers.decided_on(head)
        return Call(head.method, head.path, head.query, fields, request_id, origin)

    def _new_id(self) -> str:
        self._serial += 1
        return f"{self._nonce}-{self._serial:x}"


def _may_repeat(relay: Relay) -> bool:
    """Whether a request may run twice: the product closed a kept connection without an answer.

    Safe methods may be repeated (RFC 9110, 9.2.2); what is metered never is.
    """
    return (
        relay.ended is PeerFailure.CLOSED_EARLY
        and relay.decision.reason is Reason.UNMETERED
        and relay.exchange.head.method in _SAFE
        and relay.exchange.body is None
    )
