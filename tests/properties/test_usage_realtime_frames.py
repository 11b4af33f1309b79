"""Frames in any split, fragmentation and compression are read as independent libraries read them.

`websockets` writes them, and says what is broken. `wsproto` does not: it takes a ping between two
compressed fragments for the end of the message.
"""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from sidecar.usage.realtime import frames
from sidecar.usage.realtime.deflate import Deflated
from sidecar.usage.realtime.frame_parts import BrokenFraming, ClosingFrame, FramePart, WholeMessage
from sidecar.usage.realtime.frames import FrameFollower
from tests.properties.websocket_frames import SENT, Sent, cut_into

CUTS = st.lists(st.integers(0, 1 << 20), max_size=30)


def follow(follower: FrameFollower, pieces: list[bytes]) -> list[FramePart]:
    """Feed all pieces, each in as many steps as it takes."""
    parts = []
    for piece in pieces:
        parts += follower.feed(piece)
        while follower.behind:
            parts += follower.feed(b"")
    return parts


def raw_of(parts: list[FramePart]) -> bytes:
    """Return every byte that was given back, in order."""
    return b"".join(part.raw for part in parts)


@given(SENT, CUTS, st.booleans())
def test_every_message_is_read_and_every_byte_given_back(
    sent: Sent,
    cuts: list[int],
    held: bool,  # noqa: FBT001 - from a strategy
) -> None:
    """However it is cut, fragmented, masked and compressed."""
    written = sent.frames()
    follower = FrameFollower(masked=sent.masked, held=held, deflated=sent.deflated)
    parts = follow(follower, cut_into(b"".join(written), cuts))
    messages = [part for part in parts if isinstance(part, WholeMessage)]
    assert [message.payload for message in messages] == sent.contents()
    assert follower.between_messages
    if held:  # pings between fragments leave first
        assert sorted(raw_of(parts)) == sorted(b"".join(written))
        without_pings = b"".join(frame for frame in written if frame[0] != 0x89)
        assert b"".join(message.raw for message in messages) == without_pings
    else:
        assert raw_of(parts) == b"".join(written)


@given(SENT, CUTS, st.integers(0, 64))
def test_a_message_that_is_too_long_passes_but_for_its_end(
    sent: Sent, cuts: list[int], longest: int
) -> None:
    """It is not read, but a word in it is found, and its last byte is held."""
    written = b"".join(sent.frames())
    word = b"ab"
    with (
        patch.object(frames, "LONGEST_MESSAGE", longest),
        patch.object(frames, "LONGEST_HELD", longest + 1000),
    ):
        follower = FrameFollower(
            masked=sent.masked, held=True, deflated=sent.deflated, words=(word,)
        )
        parts = follow(follower, cut_into(written, cuts))
    messages = [part for part in parts if isinstance(part, WholeMessage)]
    for message, content in zip(messages, sent.contents(), strict=True):
        assert message.raw
        if message.payload is None:
            assert message.named is (word in content)
        else:
            assert message.payload == content
    assert sorted(raw_of(parts)) == sorted(written)


def theirs(data: bytes, *, masked: bool, deflated: Deflated | None) -> tuple[list[bytes], bool]:
    """Read frames with websockets: the whole messages, and whether it refuses what follows."""
    protocol = Protocol(Side.SERVER if masked else Side.CLIENT, max_size=None)
    if deflated is not None:
        bits = deflated.window_bits
        protocol.extensions = [PerMessageDeflate(not deflated.takeover, False, bits, 15)]
    protocol.receive_data(data)
    contents: list[bytes] = []
    content, is_text = b"", False
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            is_text = frame.opcode is Opcode.TEXT
        if frame.opcode >= Opcode.CLOSE:
            continue
        content += bytes(frame.data)
        if frame.fin:
            if is_text and content.decode(errors="ignore").encode() != content:
                return contents, True
            contents.append(content)
            content = b""
    return contents, protocol.parser_exc is not None


@given(SENT, CUTS, st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=3))))
@example(Sent(masked=True, deflated=None, messages=((True, (b"a",), False),)), [], [(0, b"\x88")])
def test_what_is_broken_is_found_where_an_independent_parser_finds_it(
    sent: Sent, cuts: list[int], changes: list[tuple[int, bytes]]
) -> None:
    """Bytes are changed anywhere; nothing is raised, and no message is read that it denies."""
    data = bytearray(b"".join(sent.frames()))
    for at, change in changes:
        data[at : at + len(change)] = change
    follower = FrameFollower(masked=sent.masked, held=True, deflated=sent.deflated)
    parts = follow(follower, cut_into(bytes(data), cuts))
    read = [part.payload for part in parts if isinstance(part, WholeMessage)]
    contents, refused = theirs(bytes(data), masked=sent.masked, deflated=sent.deflated)
    assert read == contents[: len(read)]
    if not any(isinstance(part, BrokenFraming | ClosingFrame) for part in parts):
        assert not refused
        assert read == contents
    held = len(data) - len(raw_of(parts))
    assert not follower.between_messages or not held
