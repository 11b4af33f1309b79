"""The bound on the bytes of request bodies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.body_memory import BodyMemory


def test_what_does_not_fit_is_refused_and_counts_nothing() -> None:
    """To the last byte."""
    memory = BodyMemory(100)
    assert memory.reserve(100, "")
    assert memory.is_full
    assert not memory.reserve(1, "")
    memory.add(-100, "")
    assert memory.used == 0


def test_one_org_cannot_take_all_of_it() -> None:
    """Alone it gets half; another one finds something, and what is given back is free again."""
    memory = BodyMemory(1_000)
    while memory.reserve(10, "greedy"):
        pass
    assert memory.used == 500
    assert memory.reserve(200, "other")
    assert not memory.reserve(10, "greedy")
    memory.add(-500, "greedy")
    assert memory.reserve(300, "greedy")


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from(["", "a", "b"])), max_size=40))
def test_reservations_never_exceed_the_limit(sizes: list[tuple[int, str]]) -> None:
    """Whoever asks for what; all given back, nothing is remembered."""
    memory = BodyMemory(1_000)
    taken = [(size, holder) for size, holder in sizes if memory.reserve(size, holder)]
    assert memory.used == sum(size for size, _ in taken) <= 1_000
    for size, holder in taken:
        memory.add(-size, holder)
    assert memory.used == 0
    assert memory._held_by == {}
