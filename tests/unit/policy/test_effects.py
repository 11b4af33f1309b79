"""Whether the route of the canonical reading may decide."""

from __future__ import annotations

import pytest

from sidecar.policy.effects import Effect, Rank
from sidecar.policy.paths import PathReading

FREE, METERED, DENIED = Rank.FREE, Rank.METERED, Rank.DENIED
CHEAP, DEAR = Effect(METERED, 1), Effect(METERED, 5)


@pytest.mark.parametrize(
    ("canonical", "other", "path", "stands"),
    [
        (Effect(DENIED), Effect(FREE), "x", True),
        (Effect(DENIED), CHEAP, "x", True),
        (Effect(FREE), Effect(FREE), "x", True),
        (Effect(FREE), CHEAP, "x", False),
        (Effect(FREE), CHEAP, "x/", False),
        (Effect(FREE), Effect(DENIED), "x", False),
        (CHEAP, Effect(FREE), "x", True),
        (CHEAP, Effect(METERED, 1), "x", True),
        (CHEAP, DEAR, "x", False),
        (DEAR, CHEAP, "x", False),
        (CHEAP, DEAR, "x/", True),
        (CHEAP, DEAR, "/x", True),
        (CHEAP, Effect(DENIED), "x", False),
        (CHEAP, Effect(DENIED), "/x", False),
        (CHEAP, Effect(DENIED), "x/", True),
    ],
)
def test_may_stand_for(canonical: Effect, other: Effect, path: str, stands: bool) -> None:  # noqa: FBT001
    """The table of the policy reference."""
    reading = PathReading(tuple(path.split("/")), exact=True)
    assert canonical.may_stand_for(other, slash=reading.slash, empty=reading.empty) is stands
