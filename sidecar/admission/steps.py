"""The rule of every book that is a state machine: one table, and a step outside it is an error."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from sidecar.domain.errors import SidecarError


class Listed(Enum):
    """A state or an event in a table: it is found by what it is, with no call of Python's."""

    __hash__ = object.__hash__


State = TypeVar("State", bound=Listed)
StepEvent = TypeVar("StepEvent", bound=Listed)


class IllegalStep(SidecarError):  # noqa: N818 - named as the state machines speak of it
    """A book was asked for something that cannot happen in its state: a fault of the sidecar."""


def step(table: Mapping[tuple[State, StepEvent], State], state: State, event: StepEvent) -> State:
    """Return the state that follows; IllegalStep when the table has no such row."""
    try:
        return table[state, event]
    except KeyError:
        raise IllegalStep(
            f"{type(state).__name__} {state.name} cannot take {event.name}: "
            "a call was concluded or ended twice, or out of order"
        ) from None
