"""The phases of a client's connection, and the one table of the steps between them."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Phase(Enum):
    """What a connection does now."""

    IDLE = "idle"  # no byte of a request is here
    HEAD = "head"  # a part of a head is here
    EXCHANGE = "exchange"  # a request is being answered
    BROKEN = "broken"  # its body is broken: it is answered, and what follows is thrown away
    TUNNEL = "tunnel"  # bytes go both ways as they come
    LINGERING = "lingering"  # closed on our side: what the client still sends is thrown away
    CLOSED = "closed"


class Step(Enum):
    """What takes a connection from one phase to the next."""

    BYTES = "a part of a head came"
    REQUEST = "a whole head came"
    ANSWERED = "the exchange ended, and the connection is kept"
    BODY_BROKE = "the body is not what its head said"
    UPGRADED = "the product switched protocols"
    CLOSE = "our side is closed"
    LOST = "the connection is gone"


class IllegalStepError(RuntimeError):
    """A step that the table does not have: a fault of ours."""


class _Steps(dict[Step, Phase]):
    """The steps out of one phase."""

    def __init__(self, phase: Phase, steps: dict[Step, Phase]) -> None:
        super().__init__(steps)
        self._phase = phase

    def __missing__(self, step: Step) -> Phase:
        raise IllegalStepError(f"a connection in {self._phase} took the step {step}")


_ENDS: Final = {Step.CLOSE: Phase.LINGERING, Step.LOST: Phase.CLOSED}

STEPS: Final[dict[Phase, dict[Step, Phase]]] = {
    phase: _Steps(phase, steps)
    for phase, steps in {
        Phase.IDLE: {Step.BYTES: Phase.HEAD, Step.REQUEST: Phase.EXCHANGE, **_ENDS},
        Phase.HEAD: {Step.BYTES: Phase.HEAD, Step.REQUEST: Phase.EXCHANGE, **_ENDS},
        Phase.EXCHANGE: {
            Step.ANSWERED: Phase.IDLE,
            Step.BODY_BROKE: Phase.BROKEN,
            Step.UPGRADED: Phase.TUNNEL,
            **_ENDS,
        },
        Phase.BROKEN: _ENDS,
        Phase.TUNNEL: _ENDS,
        Phase.LINGERING: {Step.LOST: Phase.CLOSED},
        Phase.CLOSED: {},
    }.items()
}
"""`STEPS[phase][step]` is the next phase; a step that is not there raises IllegalStepError."""
