"""Durations as people write them."""

from __future__ import annotations

import pytest

from sidecar.policy.durations import parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("250ms", 0.25), ("1s", 1), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), (3, 3), (0.5, 0.5)],
)
def test_durations(value: object, seconds: float) -> None:
    """Units are ms, s, m and h; a plain number is seconds."""
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "1", "1 s", "-1s", "1d", "s", "1s\n", "1e3s", "٣s", True, None, [1]]
)
def test_no_durations(value: object) -> None:
    """Anything else is an error that shows how to write one."""
    with pytest.raises(ValueError, match="write 250ms, 1s, 2m"):
        parse_duration(value)
