"""The phases of a client's connection, and the one table of the steps between them."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final


# Integers: the hash of another enum's member is a function of Python, at four look-ups a request.
class Phase(IntEnum):
    """What a connection does now."""

    IDLE = auto()  # no byte of a request is here
    HEAD = auto()  # a part of a head is here
    EXCHANGE = auto()  # a request is being answered
    BROKEN = auto()  # its body is broken: it is answered, and what follows is thrown away
    TUNNEL = auto()  # bytes go both ways as they come
    LINGERING = auto()  # closed on our side: what the client still sends is thrown away
    CLOSED = auto()


class Step(IntEnum):
    """What takes a connection from one phase to the next."""

    BYTES = auto()  # a part of a head came
    REQUEST = auto()  # a whole head came
    ANSWERED = auto()  # the exchange ended, and the connection is kept
    BODY_BROKE = auto()  # the body is not what its head said
    UPGRADED = auto()  # the product switched protocols
    CLOSE = auto()  # our side is closed
    LOST = auto()  # the connection is gone


class IllegalStepError(RuntimeError):
    """A step that the table does not have: a fault of ours."""


class _Steps(dict[Step, Phase]):
    """The steps out of one phase."""

    def __init__(self, phase: Phase, steps: dict[Step, Phase]) -> None:
        super().__init__(steps)
        self._phase = phase

    def __missing__(self, step: Step) -> Phase:
        raise IllegalStepError(f"a connection in {self._phase.name} took the step {step.name}")


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
