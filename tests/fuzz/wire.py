"""What comes over the wire: heads, bodies, whole answers; whole and cut, ours and h11's reading."""

from __future__ import annotations

from tests.properties.test_http1_framing import ours, theirs
from tests.properties.test_http1_heads import our_answer, our_request, their_answer, their_request
from tests.unit.http1.answer_vectors import Answer
from tests.unit.http1.line import outcome

_LARGEST_FOR_H11 = 8192
"""h11 has a bound of its own on what it keeps, which is none of its strictness."""


def cut(data: bytes) -> list[bytes]:
    """Cut in three, at places that the bytes themselves name, so that a finding is repeatable."""
    if not data:
        return [data]
    first, second = sorted((sum(data) % len(data), (sum(data) * 31) % len(data)))
    return [data[:first], data[first:second], data[second:]]


def request_head(data: bytes) -> None:
    """One verdict however it is cut, and never a reading that h11 does not share."""
    head = our_request([data])
    assert our_request(cut(data)) == head
    if head is None or len(data) > _LARGEST_FOR_H11:
        return
    read = their_request(data)
    assert read is not None
    assert read.method.decode() == head.method
    shared = [name for name, _ in read.headers if head.upgrade is not None or name != b"upgrade"]
    assert [name for name, _ in head.fields] == shared  # an upgrade not asked for properly is gone


def answer_head(data: bytes) -> None:
    """The same for the head of an answer."""
    head = our_answer([data], "GET")
    assert our_answer(cut(data), "GET") == head
    if head is None or len(data) > _LARGEST_FOR_H11:
        return
    read = their_answer(data, "GET")
    assert read is not None
    assert read.status_code == head.status
    assert [name for name, _ in head.fields] == [name for name, _ in read.headers]


def chunked_body(data: bytes) -> None:
    """One verdict however it is cut; what is passed on is for h11 the content that came."""
    passed, content = ours([data]), ours([data], decode=True)
    assert ours(cut(data)) == passed
    assert ours(cut(data), decode=True) == content
    assert (passed is None) == (content is None)
    if passed is not None and content is not None:
        assert theirs(passed.passed + passed.end) == (content.passed, b"")


def exchange(data: bytes) -> None:
    """An exchange has one end, and keeps its connection only after a whole answer."""
    for closes in (False, True):
        answer = Answer(b"", closes=closes)
        whole, in_parts = outcome(answer, [data]), outcome(answer, cut(data))
        assert (whole.failure, whole.whole, whole.kept) == (
            in_parts.failure,
            in_parts.whole,
            in_parts.kept,
        )
        assert not (whole.whole and whole.failure)
        assert whole.whole or not whole.kept
        assert not closes or whole.whole or whole.failure
