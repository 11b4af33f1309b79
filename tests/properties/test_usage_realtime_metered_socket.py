"""A metered realtime connection in any order of events, payments, faults and ends."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override
from websockets.frames import Frame, Opcode

from sidecar.usage.realtime.commands import (
    ChargeTranscript,
    CloseSocket,
    SendToClient,
    SendToProduct,
    SocketCommand,
    TakeDeposit,
)
from sidecar.usage.realtime.deflate import AgreedDeflate, Deflated
from sidecar.usage.realtime.frame_parts import WholeMessage
from sidecar.usage.realtime.frame_writer import Refusal
from sidecar.usage.realtime.frames import FrameFollower
from sidecar.usage.realtime.metered_socket import MeteredSocket
from sidecar.usage.realtime.turns import SettleTurn
from tests.properties.websocket_frames import Sent, cut_into

REFUSAL = Refusal("insufficient_quota", "insufficient_quota", "The quota is spent.")
CUTS = st.lists(st.integers(0, 1 << 16), max_size=4)
SHAPES = st.sampled_from(["whole", "fragments", "pinged", "escaped", "long", "binary"])


class MeteredConnection(RuleBasedStateMachine):
    """The client, the product and the books around one connection."""

    @initialize(deflated=st.sampled_from([None, Deflated(), Deflated(9, takeover=False)]))
    def begin(self, deflated: Deflated | None) -> None:
        """Agree on compression, or on none."""
        agreed = None if deflated is None else AgreedDeflate(deflated, deflated)
        self.deflated = deflated
        self.socket = MeteredSocket(agreed=agreed, model="gpt-realtime", enforced=True)
        self.upstream = FrameFollower(masked=True, held=False, deflated=deflated)
        self.downstream = FrameFollower(masked=False, held=False, deflated=deflated)
        self.waiting: list[TakeDeposit] = []
        self.paid: set[int] = set()
        self.refused: set[int] = set()
        self.settled: Counter[int] = Counter()
        self.arrived = 0  # at the product: events that ask for a response
        self.began = self.number = 0
        self.running: list[str] = []
        self.asked: dict[int, bool] = {}  # whether a client's event began the turn
        self.closed = False

    def do(self, commands: list[SocketCommand]) -> None:
        """Do what follows, and count it."""
        for command in commands:
            match command:
                case TakeDeposit(turn, _):
                    self.waiting.append(command)
                case SettleTurn(turn, _, _, paid):
                    self.settled[turn] += 1
                    assert paid is (turn in self.paid)
                case SendToProduct(data):
                    for part in self.upstream.feed(data):
                        if isinstance(part, WholeMessage):
                            payload = part.payload
                            self.arrived += payload is None or b"create" in payload
                case SendToClient(data):
                    assert not self.closed
                    self.downstream.feed(data)
                case ChargeTranscript():
                    raise AssertionError(command)
                case CloseSocket():
                    assert not self.closed
                    assert self.downstream.between_messages
                    self.closed = True

    # the client

    @rule(shape=SHAPES, cuts=CUTS, named=st.booleans())
    def client_asks(self, shape: str, cuts: list[int], named: bool) -> None:  # noqa: FBT001
        """Send `response.create` in one of many shapes."""
        self.number += 1
        event: dict[str, object] = {"type": "response.create"}
        if named:
            event["event_id"] = f"e{self.number}"
        if shape == "long":
            event["pad"] = "x" * 300_000
        text = json.dumps(event).encode()
        if shape == "escaped":
            text = text.replace(b"response.", b"response\\u002e")
        at = len(text) // 2
        fragments = (text[:at], text[at:]) if shape in {"fragments", "pinged"} else (text,)
        self.client_sends(fragments, cuts, is_text=shape != "binary", pinged=shape == "pinged")

    @rule(cuts=CUTS, pinged=st.booleans())
    def client_speaks(self, cuts: list[int], pinged: bool) -> None:  # noqa: FBT001
        """Send what asks for nothing."""
        self.client_sends((b'{"type":"input_audio_buffer.', b'append"}'), cuts, pinged=pinged)

    def client_sends(
        self, fragments: tuple[bytes, ...], cuts: list[int], *, is_text: bool = True, pinged: bool
    ) -> None:
        """Write a message and send it in pieces."""
        # No state is kept between messages, so that each can be written by itself.
        deflated = None if self.deflated is None else Deflated(self.deflated.window_bits, False)
        if self.deflated is not None and self.deflated.takeover:
            deflated = None
        sent = Sent(masked=True, deflated=deflated, messages=((is_text, fragments, pinged),))
        for piece in cut_into(b"".join(sent.frames()), cuts):
            self.do(self.socket.from_client(piece))

    # the books

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), pays=st.sampled_from([True, True, True, False]))
    def books_answer(self, data: st.DataObject, pays: bool) -> None:  # noqa: FBT001
        """Pay a deposit, or refuse it."""
        turn = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1))).turn
        (self.paid if pays else self.refused).add(turn)
        self.do(self.socket.paid(turn) if pays else self.socket.refused(turn, REFUSAL))

    # the product

    @precondition(lambda self: not self.closed)
    @rule(cuts=CUTS)
    def product_begins(self, cuts: list[int]) -> None:
        """Begin a response, asked for or not."""
        self.began += 1
        self.running.append(f"r{self.began}")
        event = {"type": "response.created", "response": {"id": self.running[-1]}}
        self.product_sends(json.dumps(event), cuts)

    @precondition(lambda self: self.running and not self.closed)
    @rule(cuts=CUTS, counted=st.booleans(), data=st.data(), twice=st.booleans())
    def product_ends(
        self,
        cuts: list[int],
        counted: bool,  # noqa: FBT001
        data: st.DataObject,
        twice: bool,  # noqa: FBT001
    ) -> None:
        """End a response, with usage or without."""
        response = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        usage = {"input_tokens": 3, "output_tokens": 4} if counted else None
        event = {"type": "response.done", "response": {"id": response, "usage": usage}}
        for _ in range(2 if twice else 1):
            if not self.closed:
                self.product_sends(json.dumps(event), cuts)

    @precondition(lambda self: not self.closed)
    @rule(event_id=st.integers(1, 5), cuts=CUTS)
    def product_rejects(self, event_id: int, cuts: list[int]) -> None:
        """Refuse an event of the client."""
        error = {"type": "invalid_request_error", "event_id": f"e{event_id}"}
        self.product_sends(json.dumps({"type": "error", "error": error}), cuts)

    def product_sends(self, text: str, cuts: list[int]) -> None:
        """Write a message and send it in pieces."""
        for piece in cut_into(Frame(Opcode.TEXT, text.encode()).serialize(mask=False), cuts):
            self.do(self.socket.from_product(piece))

    # what always holds

    @invariant()
    def nothing_passes_unpaid(self) -> None:
        """The product has seen no more events than were paid for, and no turn settles twice."""
        if hasattr(self, "socket"):
            assert self.arrived <= len(self.paid)
            assert all(count == 1 for count in self.settled.values())

    @override
    def teardown(self) -> None:
        """End: every deposit and every response is settled once, and nothing is held."""
        if not hasattr(self, "socket"):
            return
        self.do(self.socket.lost())
        while self.waiting:
            turn = self.waiting.pop().turn
            self.paid.add(turn)
            self.do(self.socket.paid(turn))
        assert self.paid <= set(self.settled)
        assert all(count == 1 for count in self.settled.values())
        assert self.socket.unsettled == 0
        assert not self.socket.client_waits


TestMeteredConnection = MeteredConnection.TestCase
