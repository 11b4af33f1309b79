"""The turns of a metered realtime connection: each is a response, its deposit and its end.

One table has the steps. A turn begins with a client's `response.create`, which is held until it is
paid for, or with a response that the server starts by itself. Each that was paid for, and each
response, is settled exactly once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Final

from sidecar.domain.errors import SidecarError
from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import MissingCause, Tokens, Usage

MAX_TURNS: Final = 256
"""Turns of a connection that are not settled; beyond it the oldest without a response ends."""

MOST_TURNS: Final = 2 * MAX_TURNS
"""Turns in any phase: as many responses may run as events wait for one."""

_ENDED_KEPT: Final = 256
"""Responses that have ended, so that one is not charged twice."""


class TurnPhase(IntEnum):
    """What a turn waits for."""

    HELD = auto()  # the client's event is held until it is paid for
    WITHDRAWN = auto()  # the event is dropped; the deposit has no answer yet
    ASKED = auto()  # paid for and passed on; its response has not begun
    BEGUN = auto()  # the server has started it; the deposit has no answer yet
    RUNNING = auto()  # paid for, and the response runs
    UNPAID = auto()  # the deposit was refused, and the response runs
    ENDED = auto()  # the response has ended; the deposit has no answer yet
    OVER = auto()


class TurnStep(IntEnum):
    """What takes a turn from one phase to the next."""

    PAID = auto()
    REFUSED = auto()
    CREATED = auto()  # its response has begun
    DONE = auto()  # its response has ended, or the server has refused to begin it
    LOST = auto()  # no more will be seen of it


class IllegalTurnStepError(SidecarError):
    """A step that the table does not have: a fault of ours."""


TURN_STEPS: Final[dict[TurnPhase, dict[TurnStep, TurnPhase]]] = {
    TurnPhase.HELD: {
        TurnStep.PAID: TurnPhase.ASKED,
        TurnStep.REFUSED: TurnPhase.OVER,
        TurnStep.LOST: TurnPhase.WITHDRAWN,
    },
    TurnPhase.WITHDRAWN: {TurnStep.PAID: TurnPhase.OVER, TurnStep.REFUSED: TurnPhase.OVER},
    TurnPhase.ASKED: {
        TurnStep.CREATED: TurnPhase.RUNNING,
        TurnStep.DONE: TurnPhase.OVER,
        TurnStep.LOST: TurnPhase.OVER,
    },
    TurnPhase.BEGUN: {
        TurnStep.PAID: TurnPhase.RUNNING,
        TurnStep.REFUSED: TurnPhase.UNPAID,
        TurnStep.DONE: TurnPhase.ENDED,
        TurnStep.LOST: TurnPhase.ENDED,
    },
    TurnPhase.RUNNING: {TurnStep.DONE: TurnPhase.OVER, TurnStep.LOST: TurnPhase.OVER},
    TurnPhase.UNPAID: {TurnStep.DONE: TurnPhase.OVER, TurnStep.LOST: TurnPhase.OVER},
    TurnPhase.ENDED: {TurnStep.PAID: TurnPhase.OVER, TurnStep.REFUSED: TurnPhase.OVER},
    TurnPhase.OVER: {},
}
"""`TURN_STEPS[phase][step]` is the next phase; any other step raises IllegalTurnStepError."""

_RESPONDING: Final = frozenset({TurnPhase.BEGUN, TurnPhase.RUNNING, TurnPhase.UNPAID})
_AWAITS_DEPOSIT: Final = frozenset({TurnPhase.WITHDRAWN, TurnPhase.ENDED})


@dataclass(frozen=True, slots=True)
class SettleTurn:
    """A turn has ended.

    `attempt`: for a refund, as of any other call. `usage` is None where the deposit is the cost:
    the server refused the event, failed, or the event never left. `paid`: the deposit was taken;
    otherwise the response was given all the same, and its whole cost is owed.
    """

    turn: int
    attempt: AttemptEnd
    usage: Usage | None
    paid: bool


@dataclass(slots=True)
class _Turn:
    number: int
    phase: TurnPhase
    event_id: str | None
    response_id: str | None = None
    text_bytes: int = 0
    attempt: AttemptEnd = AttemptEnd.DONE
    usage: Usage | None = None


class TurnBook:
    """The turns of one connection."""

    def __init__(self, model: str | None) -> None:
        """Begin without turns; `model`: the one that the connection was opened for."""
        self.model = model
        self._last = 0
        self._turns: dict[int, _Turn] = {}
        self._ended: deque[str] = deque(maxlen=_ENDED_KEPT)

    def __len__(self) -> int:
        """Count the turns that are not over."""
        return len(self._turns)

    @property
    def is_full(self) -> bool:
        """Whether no further response can be followed."""
        return len(self._turns) >= MOST_TURNS

    @property
    def responding(self) -> frozenset[int]:
        """The turns whose response runs."""
        return frozenset(
            number for number, turn in self._turns.items() if turn.phase in _RESPONDING
        )

    def phase(self, number: int) -> TurnPhase:
        """Return what a turn waits for."""
        turn = self._turns.get(number)
        return TurnPhase.OVER if turn is None else turn.phase

    def event_id(self, number: int) -> str | None:
        """Return the client's ID of the event that began a turn."""
        turn = self._turns.get(number)
        return None if turn is None else turn.event_id

    def hold(self, event_id: str | None) -> int:
        """Begin a turn with an event that is held; return its number."""
        return self._begin(TurnPhase.HELD, event_id).number

    def paid(self, number: int) -> list[SettleTurn]:
        """Take in that a turn's deposit is paid."""
        turn = self._open(number)
        if turn.phase is TurnPhase.WITHDRAWN:
            turn.attempt = AttemptEnd.UNREACHED
        return self._step(turn, TurnStep.PAID)

    def refused(self, number: int) -> list[SettleTurn]:
        """Take in that a turn's deposit is refused."""
        return self._step(self._open(number), TurnStep.REFUSED)

    def created(self, response_id: str) -> int | None:
        """Begin a response; return the turn whose deposit is to be taken, if it was not asked for.

        The server answers in order: a response belongs to the oldest event that has none.
        """
        if self._of(response_id) is not None or response_id in self._ended:
            return None
        turn = self._first(TurnPhase.ASKED)
        if turn is not None:
            turn.response_id = response_id
            self._step(turn, TurnStep.CREATED)
            return None
        if self.is_full:
            return None
        turn = self._begin(TurnPhase.BEGUN, None)
        turn.response_id = response_id
        return turn.number

    def sent(self, response_id: str, size: int) -> None:
        """Count text that went to the client."""
        turn = self._of(response_id)
        if turn is not None:
            turn.text_bytes += size

    def done(
        self,
        response_id: str,
        tokens: Tokens | None,
        *,
        failed: bool,
        missing: MissingCause = MissingCause.ABSENT,
    ) -> list[SettleTurn]:
        """End a response that has begun; one that names no usage and failed costs its deposit."""
        turn = self._of(response_id)
        if turn is None:
            return []
        if response_id:
            self._ended.append(response_id)
        turn.attempt = AttemptEnd.FAILED if failed else AttemptEnd.DONE
        if tokens is not None:
            turn.usage = Usage(tokens, None, self.model, turn.text_bytes, None)
        elif not failed:
            turn.usage = self._missing(turn, missing)
        return self._step(turn, TurnStep.DONE)

    def done_unread(self) -> list[SettleTurn]:
        """End the oldest response that runs: the event that ends one was too long to be read."""
        for turn in self._turns.values():
            if turn.phase in _RESPONDING and turn.response_id is not None:
                cause = MissingCause.TOO_LARGE
                return self.done(turn.response_id, None, failed=False, missing=cause)
        return []

    def rejected(self, event_id: str | None, *, of_create: bool, failed: bool) -> list[SettleTurn]:
        """End the turn whose event the server refused, if it was one.

        `event_id`: which; None where it had none. `of_create`: it asked for a response, by the
        error's code. `failed`: by the server's fault.
        """
        for turn in self._turns.values():
            named = turn.event_id == event_id and (event_id or of_create)
            if turn.phase is TurnPhase.ASKED and named:
                turn.attempt = AttemptEnd.FAILED if failed else AttemptEnd.DONE
                return self._step(turn, TurnStep.DONE)
        return []

    def withdraw(self, number: int) -> None:
        """Drop the event that is held."""
        turn = self._open(number)
        if turn.phase is TurnPhase.HELD:
            self._step(turn, TurnStep.LOST)

    def lost(self) -> list[SettleTurn]:
        """End every turn: the connection has ended."""
        settled = []
        for turn in list(self._turns.values()):
            if turn.phase in _AWAITS_DEPOSIT:
                continue
            if turn.phase is not TurnPhase.HELD:
                turn.usage = self._missing(turn, MissingCause.CUT)
            settled += self._step(turn, TurnStep.LOST)
        return settled

    def forget_unanswered(self) -> list[SettleTurn]:
        """End the oldest event without a response where too many turns are kept."""
        turn = self._first(TurnPhase.ASKED) if len(self._turns) > MAX_TURNS else None
        if turn is None:
            return []
        turn.usage = self._missing(turn, MissingCause.ABSENT)
        return self._step(turn, TurnStep.DONE)

    def _begin(self, phase: TurnPhase, event_id: str | None) -> _Turn:
        self._last += 1
        turn = _Turn(self._last, phase, event_id)
        self._turns[turn.number] = turn
        return turn

    def _step(self, turn: _Turn, step: TurnStep) -> list[SettleTurn]:
        """Take a step; settle a turn that is over, unless it was refused before any response."""
        before, following = turn.phase, TURN_STEPS[turn.phase].get(step)
        if following is None:
            raise IllegalTurnStepError(
                f"turn {turn.number} in {before.name} took the step {step.name}"
            )
        turn.phase = following
        if following is not TurnPhase.OVER:
            return []
        del self._turns[turn.number]
        refused = step is TurnStep.REFUSED
        if refused and before is not TurnPhase.ENDED:
            return []
        paid = not refused and before is not TurnPhase.UNPAID
        return [SettleTurn(turn.number, turn.attempt, turn.usage, paid)]

    def _missing(self, turn: _Turn, cause: MissingCause) -> Usage:
        return Usage(None, None, self.model, turn.text_bytes, cause)

    def _open(self, number: int) -> _Turn:
        turn = self._turns.get(number)
        if turn is None:
            raise IllegalTurnStepError(f"turn {number} is over, or has not begun")
        return turn

    def _of(self, response_id: str) -> _Turn | None:
        for turn in self._turns.values():
            if turn.response_id == response_id and turn.phase in _RESPONDING:
                return turn
        return None

    def _first(self, phase: TurnPhase) -> _Turn | None:
        return next((turn for turn in self._turns.values() if turn.phase is phase), None)
