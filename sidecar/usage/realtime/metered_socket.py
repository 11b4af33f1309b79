"""A metered realtime connection: bytes of both sides and answers about deposits in, commands out.

A client's `response.create` is held until its deposit is paid, and what the client sends behind it
waits too. What the product sends passes as it comes. A refusal ends the connection: the responses
that run end first, then the client gets the API's error event and a close.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum, auto
from typing import assert_never

from sidecar.usage.realtime.client_events import CREATE_WORDS, CreateEvent, create_event
from sidecar.usage.realtime.commands import (
    CloseSocket,
    SendToClient,
    SendToProduct,
    SocketCommand,
    TakeDeposit,
)
from sidecar.usage.realtime.deflate import AgreedDeflate
from sidecar.usage.realtime.frame_parts import (
    BrokenFraming,
    ClosingFrame,
    FramePart,
    LongPiece,
    PassedOn,
    WholeMessage,
)
from sidecar.usage.realtime.frame_writer import (
    PROTOCOL_ERROR,
    Refusal,
    close_frame,
    error_event,
)
from sidecar.usage.realtime.frames import FrameFollower
from sidecar.usage.realtime.product_events import DONE_START, ProductEvents, is_idle
from sidecar.usage.realtime.turns import TurnBook


class SocketPhase(IntEnum):
    """What a metered connection does. No phase comes back."""

    FLOWING = auto()
    ENDING = auto()  # a deposit was refused: what runs may end
    CLOSED = auto()  # by us, or by either side


class MeteredSocket:
    """One connection. Each method returns the commands that follow from it, in order."""

    def __init__(self, *, agreed: AgreedDeflate | None, model: str | None, enforced: bool) -> None:
        """Begin behind the two heads; `agreed` in the second, `model` from the first's URL.

        Not `enforced` (shadow): what cannot be followed passes unmetered instead of being closed.
        """
        self._enforced = enforced
        self._client = FrameFollower(
            masked=True,
            held=True,
            deflated=None if agreed is None else agreed.client,
            words=CREATE_WORDS,
        )
        self._product = FrameFollower(
            masked=False,
            held=False,
            deflated=None if agreed is None else agreed.server,
            start=DONE_START,
        )
        self._turns = TurnBook(model)
        self._product_events = ProductEvents(self._turns)
        self._phase = SocketPhase.FLOWING
        self._waiting: deque[FramePart] = deque()
        self._held: int | None = None  # the turn whose event is held
        self._event = b""
        self._client_closed = self._product_closed = False  # the last frame was sent
        self._inside_long = False  # the product has a part of a message that is too long
        self._awaited: frozenset[int] = frozenset()
        self._refusal: Refusal | None = None
        self._caused_by: str | None = None
        self._commands: list[SocketCommand] = []
        self._idle = True

    @property
    def idle(self) -> bool:
        """Whether the product has done nothing yet: it spoke of the session alone."""
        return self._idle and self._product.between_messages

    @property
    def client_waits(self) -> bool:
        """Whether to read no more from the client for now; ask again after each method."""
        return self._held is not None or self.client_behind

    @property
    def client_behind(self) -> bool:
        """Whether `from_client(b"")` has more to do in the loop's next iteration."""
        return self._client.behind and self._is_open()

    @property
    def product_behind(self) -> bool:
        """Whether `from_product(b"")` has more to do in the loop's next iteration."""
        return self._product.behind and self._is_open()

    @property
    def unsettled(self) -> int:
        """Count the turns that are not over."""
        return len(self._turns)

    def from_client(self, data: bytes) -> list[SocketCommand]:
        """Take bytes of the client."""
        if self._is_open():
            self._waiting += self._client.feed(data)
            self._go_on()
        return self._given()

    def from_product(self, data: bytes) -> list[SocketCommand]:
        """Take bytes of the product."""
        if self._is_open():
            for part in self._product.feed(data):
                if self._is_open():
                    self._take_from_product(part)
        return self._given()

    def paid(self, turn: int) -> list[SocketCommand]:
        """Take in that a deposit is paid, or that the call is admitted without (shadow)."""
        self._commands += self._turns.paid(turn)
        if turn == self._held:
            self._let_go()
            self._commands += self._turns.forget_unanswered()
            self._go_on()
        return self._given()

    def refused(self, turn: int, refusal: Refusal) -> list[SocketCommand]:
        """Take in that a deposit is refused: no more is passed on to the product."""
        caused_by = self._turns.event_id(turn)
        self._commands += self._turns.refused(turn)
        if self._phase is SocketPhase.FLOWING:
            self._phase = SocketPhase.ENDING
            self._refusal, self._caused_by = refusal, caused_by
            self._awaited = self._turns.responding
            if self._held is not None and self._held != turn:
                self._turns.withdraw(self._held)
            self._held, self._event = None, b""
            self._go_on()
            self._end_if_quiet()
        return self._given()

    def lost(self) -> list[SocketCommand]:
        """Take in that either connection is gone; deposits without an answer are still awaited."""
        self._close()
        return self._given()

    # the client's side

    def _go_on(self) -> None:
        """Take what waits, up to the next event that has to be paid for."""
        while self._waiting and self._held is None and self._is_open():
            self._take_from_client(self._waiting.popleft())

    def _take_from_client(self, part: FramePart) -> None:
        match part:
            case _ if self._client_closed:
                pass
            case _ if self._phase is SocketPhase.ENDING:
                self._discard(part)
            case PassedOn(raw):
                self._to_product(raw)
            case LongPiece(raw):
                self._inside_long = True
                self._to_product(raw)
            case WholeMessage():
                self._take_message(part)
            case ClosingFrame(raw):
                self._client_closed = True
                self._to_product(raw)
            case BrokenFraming(why, raw):
                if self._enforced:
                    self._break_off(why)
                self._to_product(raw)
            case _:
                assert_never(part)

    def _discard(self, part: FramePart) -> None:
        """Pass on nothing but control frames, and they must not complete a message that is cut."""
        if isinstance(part, PassedOn | ClosingFrame) and not self._inside_long:
            self._to_product(part.raw)
        self._client_closed = isinstance(part, ClosingFrame | BrokenFraming)

    def _take_message(self, message: WholeMessage) -> None:
        if message.payload is not None:
            event = create_event(message.payload)
        else:
            event = CreateEvent(None) if message.named else None
        if event is None:
            self._inside_long = False
            self._to_product(message.raw)
            return
        self._held = self._turns.hold(event.event_id)
        self._event = message.raw
        self._commands.append(TakeDeposit(self._held, message.payload))

    def _let_go(self) -> None:
        """Pass on the event that was held."""
        self._inside_long = False
        self._to_product(self._event)
        self._held, self._event = None, b""

    # the product's side

    def _take_from_product(self, part: FramePart) -> None:
        match part:
            case PassedOn(raw) | LongPiece(raw):
                self._to_client(raw)
            case WholeMessage(payload=payload):
                if self._idle:
                    self._idle = payload is not None and is_idle(payload)
                if payload is not None:
                    self._commands += self._product_events.take(payload)
                    if self._turns.is_full and self._enforced:
                        self._break_off("more responses begin than can be followed")
                elif part.named:
                    self._commands += self._turns.done_unread()
                self._end_if_quiet(between=True)
            case ClosingFrame(raw):
                self._product_closed = True
                self._to_client(raw)
                self._awaited = frozenset()
                self._end_if_quiet(between=True)
            case BrokenFraming(why, raw):
                if self._enforced:
                    self._break_off(why)
                self._to_client(raw)
            case _:
                assert_never(part)

    # the end

    def _end_if_quiet(self, *, between: bool = False) -> None:
        """Send the refusal when what ran has ended; `between` two messages of the product."""
        refusal = self._refusal
        if self._phase is not SocketPhase.ENDING or refusal is None:
            return
        quiet = not self._awaited & self._turns.responding
        if quiet and (between or (self._product.between_messages and not self._product.behind)):
            if not self._product_closed:
                self._to_client(error_event(refusal, number=1, caused_by=self._caused_by))
                self._to_client(close_frame(refusal.close, refusal.message))
            self._commands.append(CloseSocket())
            self._close()

    def _break_off(self, why: str) -> None:
        """End a connection that cannot be followed."""
        if self._product.between_messages and not self._product_closed:
            self._to_client(close_frame(PROTOCOL_ERROR, why))
        self._commands.append(CloseSocket())
        self._close()

    def _close(self) -> None:
        self._phase = SocketPhase.CLOSED
        self._commands += self._turns.lost()
        self._held, self._event = None, b""
        self._waiting.clear()

    def _is_open(self) -> bool:
        return self._phase is not SocketPhase.CLOSED

    # commands

    def _to_product(self, data: bytes) -> None:
        if data and self._is_open():
            self._commands.append(SendToProduct(data))

    def _to_client(self, data: bytes) -> None:
        if data and self._is_open():
            self._commands.append(SendToClient(data))

    def _given(self) -> list[SocketCommand]:
        commands, self._commands = self._commands, []
        return commands
