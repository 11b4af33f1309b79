"""A metered realtime connection between scripted ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from websockets.frames import Frame, Opcode

from sidecar.domain.model import AttemptEnd, Decision, Reason
from sidecar.domain.usage import Tokens, Usage
from sidecar.http1.client import ClientConnection
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.metered_tunnel import MeteredTunnel
from sidecar.usage.realtime.frame_writer import Refusal, close_frame
from sidecar.usage.realtime.metered_socket import MeteredSocket
from sidecar.usage.realtime.turns import SettleTurn

REFUSAL = Refusal("insufficient_quota", "insufficient_quota", "The quota is spent.")
CREATE = Frame(Opcode.TEXT, b'{"type":"response.create"}').serialize(mask=True)


def down(kind: str) -> bytes:
    """Write an event of the product."""
    event = {"type": f"response.{kind}", "response": {"id": "r1"}}
    return Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=False)


class Ends:
    """The client, the product and the engine: notes what each gets."""

    def __init__(self) -> None:
        self.client = b""
        self.product = b""
        self.reading = True
        self.product_read = True
        self.closed = 0
        self.settled: list[SettleTurn] = []
        self.transcripts: list[Usage] = []
        self.answer: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        self.tunnel = MeteredTunnel(
            MeteredSocket(agreed=None, model=None, enforced=True),
            payer=self,
            client=cast("ServerConnection", self),
            relay=SwitchedProduct(self),
            decision=Decision(Reason.WITHIN_QUOTA, "realtime", "a", None),
        )

    async def pay(self, turn: int, request: bytes | None) -> Refusal | None:
        """Wait for the answer of the test."""
        assert turn == 1
        assert request != b""
        return await self.answer

    def settle(self, settled: SettleTurn) -> None:
        """Note it."""
        self.settled.append(settled)

    def transcribed(self, usage: Usage) -> None:
        """Note it."""
        self.transcripts.append(usage)

    def write(self, data: bytes) -> None:
        """Note what the client gets."""
        self.client += data

    def pause_body(self) -> None:
        """Note it."""
        self.reading = False

    def resume_body(self) -> None:
        """Note it."""
        self.reading = True


class SwitchedProduct:
    """Reads the product."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self.upstream = cast("ClientConnection", SimpleNamespace(transport=Product(ends)))

    def pause(self) -> None:
        """Note it."""
        self._ends.product_read = False

    def resume(self) -> None:
        """Note it."""
        self._ends.product_read = True

    def leave(self) -> None:
        """Note it."""
        self._ends.closed += 1


class Product:
    """The product's connection."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def write(self, data: bytes) -> None:
        """Note what the product gets."""
        self._ends.product += data

    def is_closing(self) -> bool:
        """Stay open."""
        return False


async def answered(ends: Ends, answer: Refusal | BaseException | None) -> None:
    """Give the deposit's answer, and let the tunnel take it."""
    if isinstance(answer, BaseException):
        ends.answer.set_exception(answer)
    else:
        ends.answer.set_result(answer)
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_create_passes_when_it_is_paid_and_settles_when_it_is_done() -> None:
    """The client is not read meanwhile."""
    ends = Ends()
    ends.tunnel.write(CREATE)
    assert (ends.product, ends.reading) == (b"", False)
    await answered(ends, None)
    assert (ends.product, ends.reading) == (CREATE, True)
    ends.tunnel.take(down("created") + down("done"))
    assert ends.client == down("created") + down("done")
    assert [settled.paid for settled in ends.settled] == [True]


async def test_a_refused_create_closes_behind_the_error() -> None:
    """The product never gets it."""
    ends = Ends()
    ends.tunnel.write(CREATE)
    await answered(ends, REFUSAL)
    assert ends.client.endswith(close_frame(1008, REFUSAL.message))
    assert (ends.product, ends.closed) == (b"", 1)


async def test_a_fault_while_paying_lets_nothing_pass(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the connection ends."""
    ends = Ends()
    ends.tunnel.write(CREATE)
    await answered(ends, RuntimeError("a fault"))
    assert (ends.product, ends.closed) == (b"", 1)
    assert "fault" in caplog.text


async def test_a_transcript_passes_and_is_charged() -> None:
    """It waits for nothing."""
    ends = Ends()
    kind = "conversation.item.input_audio_transcription.completed"
    event = {"type": kind, "transcript": "", "usage": {"input_tokens": 9}}
    frame = Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=False)
    ends.tunnel.take(frame)
    assert ends.client == frame
    assert ends.transcripts == [Usage(Tokens(9), None, None, 0, None)]


async def test_a_deposit_that_is_paid_after_the_end_is_given_back() -> None:
    """Its event was never passed on."""
    ends = Ends()
    ends.tunnel.write(CREATE)
    ends.tunnel.lost()
    await answered(ends, None)
    assert [settled.attempt for settled in ends.settled] == [AttemptEnd.UNREACHED]
    assert ends.product == b""


async def test_the_client_is_read_only_as_fast_as_the_product_takes_it() -> None:
    """Whatever a deposit's answer says meanwhile."""
    ends = Ends()
    ends.tunnel.write(CREATE)
    ends.tunnel.on_writable(writable=False)
    await answered(ends, None)
    assert not ends.reading
    ends.tunnel.on_writable(writable=True)
    assert ends.reading


async def test_many_small_frames_are_taken_in_several_iterations() -> None:
    """In order, and all of them."""
    ends = Ends()
    ping = Frame(Opcode.PING, b"").serialize(mask=True)
    pong = Frame(Opcode.PONG, b"").serialize(mask=False)
    ends.tunnel.write(ping * 1000)
    ends.tunnel.take(pong * 1000)
    assert len(ends.product) < 1000 * len(ping)
    assert (ends.reading, ends.product_read) == (False, False)
    for _ in range(5):
        await asyncio.sleep(0)
    assert ends.product == ping * 1000
    assert ends.client == pong * 1000
    assert (ends.reading, ends.product_read) == (True, True)


async def test_frames_that_are_left_when_the_connection_ends_are_looked_at_no_more() -> None:
    """A callback that puts itself into each round of the loop would keep it busy forever."""
    ends = Ends()
    rounds = 0

    def call_soon(callback: Callable[..., object], *given: object) -> None:
        nonlocal rounds
        rounds += 1
        loop.call_soon(callback, *given)

    loop = ends.tunnel._loop
    ends.tunnel._loop = cast("asyncio.AbstractEventLoop", SimpleNamespace(call_soon=call_soon))
    ends.tunnel.write(Frame(Opcode.PING, b"").serialize(mask=True) * 2000)
    ends.tunnel.take(Frame(Opcode.PONG, b"").serialize(mask=False) * 2000)
    ends.tunnel.lost()
    for _ in range(20):
        await asyncio.sleep(0)
    assert rounds == 2
