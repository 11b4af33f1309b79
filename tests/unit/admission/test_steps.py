"""Every state machine of the books: what its table does not name cannot happen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from sidecar.admission import holds, journal_steps, leases, replays
from sidecar.admission.steps import IllegalStep, step

TABLES: list[tuple[type[Enum], type[Enum], Mapping[Any, Any]]] = [
    (journal_steps.EntryState, journal_steps.EntryEvent, journal_steps.STEPS),
    (holds.HoldState, holds.HoldEvent, holds.STEPS),
    (leases.LeaseState, leases.LeaseEvent, leases.STEPS),
    (replays.ScopeState, replays.ScopeEvent, replays.STEPS),
]
ILLEGAL = [
    (table, state, event)
    for states, events, table in TABLES
    for state in states
    for event in events
    if (state, event) not in table
]


@pytest.mark.parametrize(("table", "state", "event"), ILLEGAL)
def test_a_step_outside_the_table_raises(
    table: Mapping[Any, Any], state: Enum, event: Enum
) -> None:
    """A book told something out of order must not guess."""
    with pytest.raises(IllegalStep, match=state.name):
        step(table, state, event)


@pytest.mark.parametrize(("states", "events", "table"), TABLES)
def test_every_state_is_reached_and_every_event_used(
    states: type[Enum], events: type[Enum], table: Mapping[Any, Any]
) -> None:
    """A word in the enum that no row uses says something that is not so."""
    assert {next(iter(states))} | set(table.values()) == set(states)
    assert {event for _, event in table} == set(events)
