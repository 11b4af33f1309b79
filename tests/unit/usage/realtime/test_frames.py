"""Frames of one side: what is held, what passes, and what is broken."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from sidecar.usage.realtime.frame_parts import (
    BrokenFraming,
    ClosingFrame,
    LongPiece,
    PassedOn,
    WholeMessage,
)
from sidecar.usage.realtime.frames import FRAMES_AT_ONCE, LONGEST_MESSAGE, FrameFollower


def frame(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Write a client's frame."""
    return Frame(opcode, payload, fin).serialize(mask=True)


def client(*, held: bool = True) -> FrameFollower:
    """Follow a client that does not compress."""
    return FrameFollower(masked=True, held=held, deflated=None, words=(b"word",))


def test_a_message_leaves_when_it_is_whole() -> None:
    """Byte by byte nothing of it leaves before its last one."""
    written = frame(Opcode.TEXT, b"hello")
    follower = client()
    for byte in written[:-1]:
        assert follower.feed(bytes([byte])) == []
        assert not follower.between_messages
    assert follower.feed(written[-1:]) == [WholeMessage(written, b"hello", named=False)]


def test_a_side_that_is_not_held_passes_as_it_comes() -> None:
    """A part of a message leaves at once, and its content follows."""
    written = frame(Opcode.TEXT, b"hello")
    follower = client(held=False)
    assert follower.feed(written[:8]) == [PassedOn(written[:8])]
    expected = [PassedOn(written[8:]), WholeMessage(b"", b"hello", named=False)]
    assert follower.feed(written[8:]) == expected


def test_a_control_frame_between_fragments_leaves_first() -> None:
    """A ping must not wait for a message."""
    start, end = frame(Opcode.TEXT, b"he", fin=False), frame(Opcode.CONT, b"llo")
    ping = frame(Opcode.PING, b"now")
    expected = [PassedOn(ping), WholeMessage(start + end, b"hello", named=False)]
    assert client().feed(start + ping + end) == expected


def test_a_long_message_is_not_read_but_its_end_is_held() -> None:
    """It cannot arrive whole before it is decided on."""
    written = frame(Opcode.TEXT, b"x" * LONGEST_MESSAGE + b"a word here")
    follower = client()
    parts = [part for at in range(0, len(written), 4096) for part in follower.feed(
        written[at : at + 4096]
    )]  # fmt: skip
    assert isinstance(parts[-1], WholeMessage)
    assert parts[-1].payload is None
    assert parts[-1].named
    assert parts[-1].raw
    assert all(isinstance(part, LongPiece) for part in parts[:-1])
    assert b"".join(part.raw for part in parts) == written


def test_a_word_is_found_where_it_is_cut_in_two() -> None:
    """The end of what was searched is kept."""
    written = frame(Opcode.TEXT, b"x" * (LONGEST_MESSAGE + 10) + b"word" + b"x" * 10)
    follower = client()
    (*_, message) = follower.feed(written[:-12]) + follower.feed(written[-12:])
    assert isinstance(message, WholeMessage)
    assert message.named


def test_empty_fragments_without_end_are_not_held() -> None:
    """A message of nothing but headers would cost memory."""
    follower = client()
    written = frame(Opcode.TEXT, b"", fin=False)
    released = 0
    for _ in range(60_000):
        released += sum(len(part.raw) for part in follower.feed(written))
        written = frame(Opcode.CONT, b"", fin=False)
    assert released > 60_000


def test_a_step_follows_a_bounded_number_of_frames() -> None:
    """The loop serves others between two steps."""
    follower = client()
    parts = follower.feed(frame(Opcode.TEXT, b"a") * (FRAMES_AT_ONCE + 1))
    assert len(parts) == FRAMES_AT_ONCE
    assert follower.behind
    assert len(follower.feed(b"")) == 1
    assert not follower.behind


def test_nothing_is_read_behind_a_close() -> None:
    """The WebSocket has ended there."""
    close = frame(Opcode.CLOSE, b"\x03\xe8")
    more = frame(Opcode.TEXT, b"word")
    assert client().feed(close + more) == [ClosingFrame(close), PassedOn(more)]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (Frame(Opcode.TEXT, b"a").serialize(mask=False), "not masked"),
        (frame(Opcode.CONT, b"a"), "continues no message"),
        (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), "before the last one"),
        (frame(Opcode.TEXT, b"\xff"), "UTF-8"),
        (b"\x91\x80\0\0\0\0", "unknown extension"),
        (b"\x83\x80\0\0\0\0", "opcode 3"),
        (b"\xc1\x80\0\0\0\0", "not agreed on"),
        (b"\x09\x80\0\0\0\0", "control frame"),
        (b"\x89\xfe\x00\x7e\0\0\0\0", "control frame"),
        (b"\x81\xfe\x00\x05\0\0\0\0aaaaa", "shortest form"),
        (b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # masks are random
)
def test_what_is_broken_is_reported_with_all_that_was_held(written: bytes, why: str) -> None:
    """Nothing is raised; what follows passes."""
    follower = client()
    parts = follower.feed(written)
    broken = parts[-1]
    assert isinstance(broken, BrokenFraming)
    assert why in broken.why
    assert b"".join(part.raw for part in parts) == written
    assert follower.feed(b"more") == [PassedOn(b"more")]
