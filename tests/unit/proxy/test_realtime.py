"""A metered realtime connection in the gateway: which calls are one, and who pays for what."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence

import pytest
from websockets.frames import Frame, Opcode

from sidecar.domain.choices import Refund
from sidecar.domain.model import AttemptEnd, Call, Decision, Permit, Reason
from sidecar.domain.ports import BodySource
from sidecar.domain.usage import MissingCause, Terms, Tokens, Usage, UsageFormat
from sidecar.proxy.drain import Drain
from sidecar.proxy.realtime import ResponsePayer
from sidecar.usage.realtime.turns import SettleTurn
from tests.fakes.engines import ACME, AllowingEngine, RememberingRequests
from tests.fakes.upstreams import Ending, ScriptedUpstream
from tests.plane import eventually, staged
from tests.unit.proxy.test_settling import TERMS

REALTIME = dataclasses.replace(
    TERMS, rule=dataclasses.replace(TERMS.rule, format=UsageFormat.OPENAI_REALTIME)
)
SHADOW = dataclasses.replace(REALTIME, shadow=True)
ASK = (
    b"GET /v1/realtime?model=big HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
CREATE = Frame(Opcode.TEXT, b'{"type":"response.create"}').serialize(mask=True)
USAGE = Usage(Tokens(output=9), None, "big", 0, None)


def event(kind: str, name: str = "r1") -> bytes:
    """Write an event of the product."""
    response = {"id": name, "usage": {"input_tokens": 0, "output_tokens": 9}}
    text = json.dumps({"type": f"response.{kind}", "response": response}).encode()
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class RealtimeDesk(AllowingEngine):
    """Admits connections by `terms`, and a number of further responses; notes what is owed."""

    def __init__(self, terms: Terms = REALTIME, *, further: int = 0) -> None:
        super().__init__()
        self._terms = terms
        self.further = further
        self.reason = Reason.OVER_QUOTA
        self.asked: list[tuple[int, bytes | None]] = []
        self.owed: list[tuple[int, Usage]] = []
        self.transcripts: list[Usage] = []

    def permit(self, request_id: str) -> Permit:
        """Make a permit of its own."""
        permit = Permit(
            request_id, "route", None, paid=True, refund=Refund.NEVER, claim=None,
            terms=self._terms,
        )  # fmt: skip
        self.permits.append(permit)
        return permit

    async def decide(self, call: Call, body: BodySource) -> Decision:
        self.calls.append(call)
        permit = self.permit(call.request_id)
        return Decision(Reason.WITHIN_QUOTA, "route", call.request_id, permit, identity=ACME)

    def realtime(self, decision: Decision) -> Responses:
        return Responses(self, decision.request_id)


class Responses:
    """The responses of one connection."""

    def __init__(self, desk: RealtimeDesk, request_id: str) -> None:
        self._desk = desk
        self._request_id = request_id

    async def decide(self, turn: int, request: bytes | None) -> Decision:
        """Admit as many as there are left."""
        desk = self._desk
        desk.asked.append((turn, request))
        name = f"{self._request_id}.{turn}"
        desk.further -= 1
        if desk.further < 0:
            return Decision(desk.reason, "route", name, None, 429)
        return Decision(Reason.WITHIN_QUOTA, "route", name, desk.permit(name), identity=ACME)

    def owe(self, turn: int, usage: Usage) -> None:
        """Note it."""
        self._desk.owed.append((turn, usage))

    def transcribed(self, usage: Usage) -> None:
        """Note it."""
        self._desk.transcripts.append(usage)


class Paying:
    """A payer, and what is around it."""

    def __init__(self, *, further: int = 0) -> None:
        self.desk = RealtimeDesk(further=further)
        self.first = self.desk.permit("a")
        self.drain = Drain()
        self.observer = RememberingRequests()
        admitted = Decision(Reason.WITHIN_QUOTA, "route", "a", self.first, identity=ACME)
        self.payer = ResponsePayer(
            self.desk, admitted, self.first, drain=self.drain, clock=time, observer=self.observer
        )


def done(turn: int, *, paid: bool = True, usage: Usage | None = USAGE) -> SettleTurn:
    """End a response."""
    return SettleTurn(turn, AttemptEnd.DONE, usage, paid)


async def test_the_handshakes_permit_pays_for_the_first_response() -> None:
    """The engine is asked for the second."""
    it = Paying(further=1)
    assert await it.payer.pay(1, b"{}") is None
    assert it.desk.asked == []
    assert await it.payer.pay(2, b"{}") is None
    assert it.desk.asked == [(2, b"{}")]
    it.payer.settle(done(2))
    it.payer.settle(done(1))
    assert [permit.request_id for permit, _ in it.desk.settled] == ["a.2", "a"]
    it.payer.end(idle=False)
    assert it.desk.settled_once()


@pytest.mark.parametrize(("idle", "end"), [(True, AttemptEnd.UNREACHED), (False, AttemptEnd.DONE)])
async def test_without_a_response_the_handshakes_deposit_is_the_cost(
    *, idle: bool, end: AttemptEnd
) -> None:
    """It comes back, as the policy says, where the product did nothing."""
    it = Paying()
    it.payer.end(idle=idle)
    it.payer.end(idle=idle)
    assert (it.desk.executions, it.desk.usages) == ([end], [None])


async def test_the_handshakes_permit_pays_for_a_transcript_that_comes_first() -> None:
    """So a session without a response pays what it has cost; the first response asks the engine."""
    it = Paying(further=1)
    it.payer.transcribed(USAGE)
    it.payer.transcribed(USAGE)
    assert it.desk.usages == [USAGE]
    assert it.desk.transcripts == [USAGE]
    assert await it.payer.pay(1, b"{}") is None
    assert it.desk.asked == [(1, b"{}")]
    it.payer.end(idle=False)
    assert len(it.desk.usages) == 1


async def test_a_transcript_without_tokens_leaves_the_permit_to_the_first_response() -> None:
    """It is charged by its text."""
    it = Paying()
    mute = Usage(None, None, None, 20, MissingCause.ABSENT)
    it.payer.transcribed(mute)
    assert it.desk.transcripts == [mute]
    assert await it.payer.pay(1, None) is None
    assert it.desk.asked == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.OVER_QUOTA, 1008),
        (Reason.FAIL_CLOSED, 1011),
        (Reason.FAIL_OPEN_SPENT, 1011),
        (Reason.OVERLOADED, 1013),
    ],
)
async def test_a_refusal_closes_by_whose_fault_it_is(reason: Reason, code: int) -> None:
    """1008 the client's, 1011 ours, 1013 for one that may try again."""
    it = Paying()
    it.desk.reason = reason
    await it.payer.pay(1, None)
    refusal = await it.payer.pay(2, b"{}")
    assert refusal is not None
    assert refusal.close == code


async def test_a_refused_response_is_counted_and_named_in_the_words_of_the_api() -> None:
    """As a request of its own."""
    it = Paying()
    await it.payer.pay(1, None)
    refusal = await it.payer.pay(2, b"{}")
    assert refusal is not None
    assert (refusal.type, refusal.code) == ("insufficient_quota", "insufficient_quota")
    assert "over its quota" in refusal.message
    assert it.observer.told == [("finished", Reason.OVER_QUOTA, 429)]


async def test_a_refused_response_that_ran_is_owed() -> None:
    """One that cost nothing is not."""
    it = Paying()
    await it.payer.pay(1, None)
    await it.payer.pay(2, None)
    await it.payer.pay(3, None)
    it.payer.settle(done(2, paid=False))
    it.payer.settle(done(3, paid=False, usage=None))
    assert it.desk.owed == [(2, USAGE)]


async def test_a_drain_refuses_what_a_client_asks_for() -> None:
    """A response that runs already is paid for."""
    it = Paying(further=1)
    await it.payer.pay(1, None)
    it.drain.begin()
    refusal = await it.payer.pay(2, b"{}")
    assert refusal is not None
    assert (refusal.code, refusal.close) == ("draining", 1013)
    assert await it.payer.pay(3, None) is None
    assert it.desk.asked == [(3, None)]


async def run(
    desk: RealtimeDesk, *answer: bytes | float | Ending, sent: Sequence[bytes] = (CREATE,)
) -> tuple[bytes, bytes]:
    """Run one connection to its end; return what the client got, and what the product did."""
    async with (
        ScriptedUpstream(lambda _: answer) as upstream,
        staged(desk, upstream) as stage,
    ):
        got = await stage.talk(ASK, *sent)
        await eventually(lambda: stage.gateway.drain.inflight == 0)
        await eventually(desk.settled_once)
    return got, bytes(upstream.bytes[0])


async def test_a_connection_is_settled_response_by_response() -> None:
    """Its events pass byte for byte, and its handshake without compression."""
    desk = RealtimeDesk(further=1)
    answer = event("created") + event("done") + event("created", "r2") + event("done", "r2")
    got, asked = await run(desk, SWITCH + b"\r\n", 0.05, answer, 0.05, Ending.CLOSE)
    assert got.endswith(answer)
    assert b"sec-websocket-extensions" not in asked.lower()
    assert desk.usages == [USAGE, USAGE]


async def test_a_connection_whose_frames_cannot_be_followed_does_not_open() -> None:
    """The product answers with an extension that is not known."""
    desk = RealtimeDesk()
    got, _ = await run(desk, SWITCH + b"Sec-WebSocket-Extensions: x-new\r\n\r\n", Ending.HOLD)
    assert got.startswith(b"HTTP/1.1 502 ")
    assert desk.executions == [AttemptEnd.FAILED]


async def test_in_shadow_it_opens_and_costs_its_deposit() -> None:
    """Not one byte changes."""
    desk = RealtimeDesk(SHADOW)
    got, asked = await run(
        desk, SWITCH + b"Sec-WebSocket-Extensions: x-new\r\n\r\nbytes", 0.05, Ending.CLOSE
    )
    assert got.endswith(b"\r\n\r\nbytes")
    assert b"permessage-deflate" in asked
    assert (desk.executions, desk.usages) == ([AttemptEnd.DONE], [None])


async def test_what_is_no_websocket_of_a_client_ends_the_connection() -> None:
    """Else its requests could not be charged."""
    desk = RealtimeDesk()
    got, _ = await run(desk, SWITCH + b"\r\n", Ending.HOLD, sent=(b"\xff" * 20,))
    assert got[got.index(b"\r\n\r\n") + 4 :][:1] == b"\x88"
    assert desk.executions == [AttemptEnd.UNREACHED]


async def test_a_connection_without_responses_whose_product_works_costs_its_deposit() -> None:
    """Such as a transcription, or messages that are not read."""
    desk = RealtimeDesk()
    message = Frame(Opcode.BINARY, b"sound").serialize(mask=False)
    await run(desk, SWITCH + b"\r\n", message, 0.05, Ending.CLOSE, sent=())
    assert (desk.executions, desk.usages) == ([AttemptEnd.DONE], [None])


async def test_all_that_a_product_sent_before_it_closed_arrives_and_is_settled() -> None:
    """Also where it is more frames than are followed in one round of the loop."""
    desk = RealtimeDesk()
    pongs = Frame(Opcode.PONG, b"").serialize(mask=False) * 20_000
    poured = event("created") + pongs + event("done")
    got, _ = await run(desk, SWITCH + b"\r\n", 0.05, poured, Ending.CLOSE)
    assert got.endswith(poured)
    assert desk.usages == [USAGE]


async def test_a_product_that_is_lost_in_a_response_leaves_its_usage_missing() -> None:
    """What runs is settled as cut."""
    desk = RealtimeDesk()
    await run(desk, SWITCH + b"\r\n", 0.05, event("created"), 0.05, Ending.RESET)
    (usage,) = desk.usages
    assert usage is not None
    assert usage.missing is MissingCause.CUT


async def test_an_answer_that_opens_no_connection_costs_its_deposit() -> None:
    """As on any route that is settled by usage."""
    desk = RealtimeDesk()
    got, _ = await run(desk, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", sent=())
    assert got.startswith(b"HTTP/1.1 403 ")
    assert (desk.executions, desk.usages) == ([AttemptEnd.DONE], [None])


@pytest.mark.parametrize("query", [b"", b"?model=", b"?" + b"a=b&" * 100, b"?model=%ff"])
async def test_a_model_that_the_url_does_not_name_is_not_known(query: bytes) -> None:
    """Whatever is there instead."""
    desk = RealtimeDesk()
    async with (
        ScriptedUpstream(
            lambda _: (SWITCH + b"\r\n", 0.05, event("done"), Ending.CLOSE)
        ) as upstream,
        staged(desk, upstream) as stage,
    ):
        await stage.talk(ASK.replace(b"?model=big", query), CREATE)
        await eventually(desk.settled_once)
    (usage,) = desk.usages
    assert usage is not None
    assert usage.model in {None, "\ufffd"}
