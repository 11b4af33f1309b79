"""A process's part of the whole."""

from __future__ import annotations

import pytest

from sidecar.domain.share import ALONE, Share


def test_a_sidecar_of_one_process_has_the_whole_share() -> None:
    """It is number 0 of 1."""
    assert Share(0, 1) == ALONE


@pytest.mark.parametrize("units", [0, 1, 7, 1000])
def test_the_parts_of_all_processes_add_up(units: int) -> None:
    """No unit is lost, and none is given twice."""
    assert sum(Share(index, 3).part(units) for index in range(3)) == units
