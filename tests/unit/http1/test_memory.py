"""What is worked out once, in bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest

from sidecar.http1.heads import parse_request
from sidecar.http1.memory import ENTRY_BYTES, LONGEST_KEPT, Memory
from sidecar.proxy.headers import own_lines, request_head


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


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: %d," + b",".join(b"%x" % number for number in range(0x1000, 0x1000 + 5_000)),
        b"_%d" + b"a" * 30_000 + b": 1",
        b"X-BB-%d" + b"a" * 30_000 + b": 1",
        b"X-A: %d" + b"a" * 30_000,
        b"Host: %d" + b"a" * 30_000,
    ],
)
def test_no_client_fills_what_is_remembered_of_heads(line: bytes) -> None:
    """A bound in bytes holds whatever part of the line they are in, and whatever is made of it."""
    tracemalloc.start()
    try:
        for number in range(200):
            host = b"" if line.startswith(b"Host") else b"Host: a\r\n"
            head = parse_request(b"GET / HTTP/1.1\r\n%b%b\r\n\r\n" % (host, line % number), 100)
            assert head.host
            lines = own_lines[b"192.0.2.1", head.host]
            request_head(
                head, host=head.host, forwarded=lines, identity=None, request_id=b"", expect=False
            )
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * 1024 * 1024
