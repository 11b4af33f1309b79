"""What is worked out once, in bounded memory."""

from __future__ import annotations

import pytest

from sidecar.http1.memory import ENTRY_BYTES, LONGEST_KEPT, Memory


class Work:
    """Doubles a text, and counts how often."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, text: bytes) -> bytes:
        self.asked.append(text)
        return text * 2


@pytest.fixture
def work() -> Work:
    """Yield the work that is remembered."""
    return Work()


def memory(work: Work, capacity: int = 10_000) -> Memory[bytes, bytes]:
    """Return a memory that counts the bytes of both."""
    return Memory(work, lambda text, doubled: len(text) + len(doubled), capacity)


def test_what_is_known_is_not_worked_out_again(work: Work) -> None:
    """Nor does it take room again."""
    table = memory(work)
    assert list(map(table.__getitem__, [b"a", b"b", b"a"])) == [b"aa", b"bb", b"aa"]
    assert work.asked == [b"a", b"b"]
    assert table._left == 10_000 - 2 * (3 + ENTRY_BYTES)


def test_memory_is_bounded(work: Work) -> None:
    """Full, it starts again."""
    table = memory(work, 4 * ENTRY_BYTES)
    for number in range(50):
        assert table[b"%d" % number] == b"%d" % number * 2
        assert len(table) <= 4


def test_what_is_very_long_is_not_kept(work: Work) -> None:
    """One entry cannot take the memory of many."""
    table = memory(work, 100_000)
    text = b"x" * LONGEST_KEPT
    assert table[text] == text * 2
    assert len(table) == 0
