"""A metered realtime connection in the gateway: its handshake, its tunnel, and who pays for what.

The permit of the handshake pays for the first response, so that an org over its quota is refused
before the connection opens; every later response takes a deposit of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import parse_qs

from sidecar.answers.words import detail_of, openai_code, openai_type
from sidecar.domain.model import AttemptEnd, Decision, Permit, Reason
from sidecar.domain.ports import Clock, RequestObserver
from sidecar.domain.usage import Terms, Usage, UsageFormat
from sidecar.http1.heads import RequestHead
from sidecar.http1.response_heads import ResponseHead
from sidecar.proxy.drain import Drain
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.metered_tunnel import MeteredTunnel, SwitchedRelay
from sidecar.proxy.settling import Settling
from sidecar.usage.realtime.deflate import UnknownExtensionError, agreed_deflate
from sidecar.usage.realtime.frame_writer import (
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Refusal,
)
from sidecar.usage.realtime.metered_socket import MeteredSocket
from sidecar.usage.realtime.turns import SettleTurn

_WEBSOCKET: Final = b"websocket"
_EXTENSIONS: Final = b"sec-websocket-extensions"
_CLOSES: Final = {
    Reason.FAIL_CLOSED: INTERNAL_ERROR,
    Reason.FAIL_OPEN_SPENT: INTERNAL_ERROR,
    Reason.IDENTITY_UNAVAILABLE: INTERNAL_ERROR,
    Reason.OVERLOADED: TRY_AGAIN_LATER,
    Reason.DRAINING: TRY_AGAIN_LATER,
}
"""How a connection is closed by what a client may not answer for; by 1008 for anything else."""


class ResponseCharges(Protocol):
    """The engine's part of one realtime connection."""

    async def decide(self, turn: int, request: bytes | None) -> Decision:
        """Decide on a response of the connection; `request` asks for it, where it is known."""

    def owe(self, turn: int, usage: Usage) -> None:
        """Charge all of a response that ran although `decide` refused its deposit."""

    def transcribed(self, usage: Usage) -> None:
        """Charge for what was transcribed of the client's speech: no deposit was taken for it."""


class RealtimeEngine(Protocol):
    """The engine, as a realtime connection needs it."""

    def realtime(self, decision: Decision) -> ResponseCharges:
        """Charge each further response of an admitted connection by itself."""

    def attempt_ended(self, permit: Permit, end: AttemptEnd, usage: Usage | None) -> None:
        """Record the result of an attempt, and what its answer says it cost; once a permit."""


class ResponsePayer:
    """Pays for the responses of one connection. Satisfies `TurnPayer`."""

    def __init__(
        self,
        engine: RealtimeEngine,
        admitted: Decision,
        permit: Permit,
        *,
        drain: Drain,
        clock: Clock,
        observer: RequestObserver,
    ) -> None:
        """Pay by `engine`; `permit`, of the handshake, pays for the first response."""
        self._engine = engine
        self._charges = engine.realtime(admitted)
        self._first: Permit | None = permit
        self._drain = drain
        self._clock = clock
        self._observer = observer
        self._permits: dict[int, Permit] = {}
        self._refused: set[int] = set()

    async def pay(self, turn: int, request: bytes | None) -> Refusal | None:
        """Take a response's deposit; None where it is admitted. A drain ends what is asked for."""
        first, self._first = self._first, None
        if first is not None:
            self._permits[turn] = first
            return None
        if self._drain.draining and request is not None:
            return _refusal(Reason.DRAINING, 503, "")
        began = self._clock.monotonic()
        decision = await self._charges.decide(turn, request)
        if decision.permit is not None:
            self._permits[turn] = decision.permit
            return None
        self._refused.add(turn)
        seconds = self._clock.monotonic() - began
        self._observer.request_finished(decision, decision.status, seconds)
        return _refusal(decision.reason, decision.status, decision.detail)

    def settle(self, settled: SettleTurn) -> None:
        """Close a response, once."""
        permit = self._permits.pop(settled.turn, None)
        if permit is not None:
            self._engine.attempt_ended(permit, settled.attempt, settled.usage)
        elif settled.turn in self._refused and settled.usage is not None:
            self._refused.discard(settled.turn)
            self._charges.owe(settled.turn, settled.usage)

    def transcribed(self, usage: Usage) -> None:
        """Charge for a transcript: by the handshake's permit, where that has paid for nothing yet.

        One whose cost is not named in tokens is charged by its text, beside the permit.
        """
        first = self._first
        if first is None or usage.missing is not None:
            self._charges.transcribed(usage)
            return
        self._first = None
        self._engine.attempt_ended(first, AttemptEnd.DONE, usage)

    def end(self, *, idle: bool) -> None:
        """Close the handshake's permit where neither a response nor a transcript came.

        Its deposit is its cost, and comes back where the product was `idle`.
        """
        first, self._first = self._first, None
        if first is not None:
            end = AttemptEnd.UNREACHED if idle else AttemptEnd.DONE
            self._engine.attempt_ended(first, end, None)


class RealtimeSettling(Settling):
    """Settles a realtime connection response by response, from its 101 on."""

    __slots__ = ("_decision", "_exchange", "_payer", "_shadow", "_tunnel")

    def __init__(
        self, terms: Terms, exchange: Exchange, payer: ResponsePayer, decision: Decision
    ) -> None:
        """Settle by `terms` what `payer` pays for; `decision` admitted the handshake."""
        super().__init__(terms)
        self._shadow = terms.shadow
        self._exchange = exchange
        self._payer = payer
        self._decision = decision
        self._tunnel: MeteredTunnel | None = None

    def request_head(self, head: RequestHead, body: InboundBody | None) -> RequestHead:
        """Return the head for the product: without compression, except in shadow."""
        head = super().request_head(head, body)
        if self._shadow:
            return head
        return replace(head, fields=[field for field in head.fields if field[0] != _EXTENSIONS])

    def switch(self, head: ResponseHead, relay: SwitchedRelay) -> MeteredTunnel | None:
        """Begin to meter the connection; in shadow not where it cannot be followed."""
        try:
            agreed = agreed_deflate(head.fields)
        except UnknownExtensionError:
            if self._shadow:
                return None
            raise
        self._tunnel = MeteredTunnel(
            MeteredSocket(
                agreed=agreed,
                model=_model_of(self._exchange.head.target),
                enforced=not self._shadow,
            ),
            payer=self._payer,
            client=self._exchange.client,
            relay=relay,
            decision=self._decision,
        )
        return self._tunnel

    def feed(self, data: bytes) -> bytes:
        """Take a part of the answer; the tunnel itself writes to the client."""
        if self._tunnel is None:
            return super().feed(data)
        self._tunnel.take(data)
        return b""

    def end(self, data: bytes) -> bytes:
        """Take the last part."""
        if self._tunnel is None:
            return super().end(data)
        self._tunnel.take(data)
        return b""

    def ended(self, end: AttemptEnd) -> tuple[AttemptEnd, Usage | None] | None:
        """Settle what still runs; None where the handshake's permit is closed with it."""
        if self._tunnel is None:
            return super().ended(end)
        self._tunnel.lost()
        self._payer.end(idle=self._tunnel.idle)
        return None


def settling_of(
    exchange: Exchange,
    decision: Decision,
    permit: Permit,
    terms: Terms,
    *,
    engine: RealtimeEngine,
    drain: Drain,
    clock: Clock,
    observer: RequestObserver,
) -> Settling:
    """Choose how a call is settled: by its answer, or each response of a realtime connection."""
    upgrade = exchange.head.upgrade
    if (
        terms.rule.format is not UsageFormat.OPENAI_REALTIME
        or upgrade is None
        or upgrade.lower().partition(b"/")[0] != _WEBSOCKET  # with a version, it is one too
    ):
        return Settling(terms)
    payer = ResponsePayer(engine, decision, permit, drain=drain, clock=clock, observer=observer)
    return RealtimeSettling(terms, exchange, payer, decision)


def _refusal(reason: Reason, status: int, detail: str) -> Refusal:
    words = openai_type(reason, status), openai_code(reason), detail or detail_of(reason)
    return Refusal(*words, close=_CLOSES.get(reason, POLICY_VIOLATION))


def _model_of(target: bytes) -> str | None:
    query = target.partition(b"?")[2].decode("ascii")
    try:
        named = parse_qs(query, max_num_fields=64).get("model")
    except ValueError:
        return None
    return named[0] if named else None
