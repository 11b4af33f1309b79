"""The table of a connection's phases."""

from __future__ import annotations

import pytest

from sidecar.proxy.phases import STEPS, IllegalStepError, Phase, Step

LEGAL = {(phase, step) for phase, steps in STEPS.items() for step in steps}


def test_every_phase_has_a_row() -> None:
    """A new phase cannot be forgotten."""
    assert set(STEPS) == set(Phase)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("step", Step)
def test_a_step_that_the_table_does_not_have_raises(phase: Phase, step: Step) -> None:
    """With both of its names; a legal one leads to a phase."""
    if (phase, step) in LEGAL:
        assert STEPS[phase][step] in Phase
        return
    with pytest.raises(IllegalStepError, match=rf"{phase.name}.*{step.name}"):
        STEPS[phase][step]


def test_every_open_phase_can_be_lost() -> None:
    """A client may go at any moment."""
    assert {p for p in Phase if STEPS[p].get(Step.LOST) is Phase.CLOSED} == set(Phase) - {
        Phase.CLOSED
    }


def test_nothing_begins_after_our_side_was_closed() -> None:
    """A client that still sends gets no second answer."""
    assert set(STEPS[Phase.LINGERING]) == {Step.LOST}


def test_what_follows_a_broken_body_is_no_request() -> None:
    """Its end is not known, so no head can be found behind it."""
    assert Step.ANSWERED not in STEPS[Phase.BROKEN]
    assert Step.REQUEST not in STEPS[Phase.BROKEN]
