"""Values that are frozen for the type checker alone are values all the same."""

from __future__ import annotations

import pytest

from sidecar.domain.values import value


@value
class Pair:
    """Two things."""

    left: int
    right: str = "r"


def test_equal_parts_are_equal_values() -> None:
    """In sets and as keys too."""
    assert Pair(1) == Pair(1, "r")
    assert {Pair(1): "one"}[Pair(1)] == "one"
    assert Pair(1) != Pair(2)


def test_a_value_has_no_room_for_more() -> None:
    """A misspelt attribute is an error and not a new one."""
    with pytest.raises(AttributeError):
        Pair(1).middle = 3  # type: ignore[attr-defined]


def test_a_value_is_taken_apart_by_position() -> None:
    """As `match` does it with the findings of the engine."""
    match Pair(1, "x"):
        case Pair(left, right):
            assert (left, right) == (1, "x")
