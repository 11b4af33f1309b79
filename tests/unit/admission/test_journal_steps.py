"""The table of the journal's entries."""

from __future__ import annotations

from sidecar.admission.journal_steps import STEPS, EntryState


def test_every_state_has_a_way_out() -> None:
    """No entry can stay for ever."""
    ends = {EntryState.ABSENT}
    for _ in EntryState:
        ends |= {before for (before, _), after in STEPS.items() if after in ends}
    assert ends == set(EntryState)


def test_what_is_noted_is_never_sent() -> None:
    """It is owed only by a process that has ended."""
    assert {after for (before, _), after in STEPS.items() if before is EntryState.NOTED} == {
        EntryState.ABSENT
    }
