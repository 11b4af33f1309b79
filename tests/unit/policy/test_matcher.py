"""The trie of patterns."""

from __future__ import annotations

import pytest

from sidecar.policy.matcher import PathIndex
from sidecar.policy.paths import Segments

INDEX = PathIndex(
    [
        ("a", "b"),
        ("a", "*"),
        ("a", "**"),
        ("**", "b"),
        ("*", "b"),
        ("**",),
        ("a", "**", "c", "*"),
        (),
    ]
)


@pytest.mark.parametrize(
    ("segments", "numbers"),
    [
        ((), {5, 7}),
        (("a",), {2, 5}),
        (("b",), {3, 5}),
        (("a", "b"), {0, 1, 2, 3, 4, 5}),
        (("a", "x"), {1, 2, 5}),
        (("a", ""), {2, 5}),
        (("x", "b"), {3, 4, 5}),
        (("x", "y", "b"), {3, 5}),
        (("a", "c", "x"), {2, 5, 6}),
        (("a", "c", "c", "c", "x"), {2, 5, 6}),
        (("a", "c"), {1, 2, 5}),
    ],
)
def test_find(segments: Segments, numbers: set[int]) -> None:
    """Every pattern that matches is found, an empty segment only by `**`."""
    assert set(INDEX.find(segments)) == numbers


def test_find_gives_numbers_in_order() -> None:
    """First match wins, so the first comes first."""
    found = INDEX.find(("a", "b"))
    assert found == sorted(found)


def test_work_does_not_grow_with_the_routes() -> None:
    """The walk meets the nodes on its way, not all routes: counted by the dicts it asks."""
    asked: list[str] = []

    class Counted(str):
        __slots__ = ()

        def __hash__(self) -> int:
            asked.append(self)
            return super().__hash__()

    index = PathIndex([("api", f"r{number}", "*") for number in range(500)])
    path = tuple(map(Counted, ("api", "r499", "x")))
    asked.clear()
    assert index.find(path) == [499]
    assert len(asked) <= 4


def test_a_star_takes_an_empty_end_where_that_is_asked_for() -> None:
    """Some routers serve `/a/` by the route of `/a/:id`; an empty segment before the end never."""
    index = PathIndex([("a", "*"), ("a", "*", "b")])
    assert index.find(("a", ""), empty_end=True) == [0]
    assert index.find(("a", "")) == []
    assert index.find(("a", "", "b"), empty_end=True) == []
