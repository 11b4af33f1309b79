"""What calls have shown of a dependency."""

from __future__ import annotations

import pytest

from sidecar.domain.seen import UNASKED, WELL, Seen, worst_seen

FAILED = Seen(asked=True, problem="refused")


@pytest.mark.parametrize(
    ("seen", "worst"),
    [
        ([], UNASKED),
        ([UNASKED, WELL], WELL),
        ([WELL, FAILED, UNASKED], FAILED),
    ],
)
def test_the_worst_of_several_processes(seen: list[Seen], worst: Seen) -> None:
    """A problem counts first, then any answer, and without both nothing was asked."""
    assert worst_seen(seen) == worst
