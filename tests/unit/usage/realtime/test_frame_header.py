"""Headers of frames: what they say, whole or in part, and what is none."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from sidecar.usage.realtime.frame_header import BrokenFrameError, header_at


@pytest.mark.parametrize("size", [0, 1, 125, 126, 0xFFFF, 0x10000])
@pytest.mark.parametrize("masked", [False, True])
def test_a_header_is_read_when_it_is_whole(size: int, *, masked: bool) -> None:
    """With a length in each of its three forms; nothing is said of a part of it."""
    written = Frame(Opcode.BINARY, b"x" * size).serialize(mask=masked)
    raw = written[: len(written) - size]
    assert [header_at(raw[:end], 0, masked=masked) for end in range(len(raw))] == [None] * len(raw)
    header = header_at(b"before" + written, 6, masked=masked)
    assert header is not None
    assert (header.raw, header.size, header.fin) == (raw, size, True)
    assert header.mask == (raw[-4:] if masked else b"")
    assert not header.is_control


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x91\x00", "unknown extension"),
        (b"\x83\x00", "unknown opcode 3"),
        (b"\x81\x80", "is masked"),
        (b"\x09\x00", "a control frame"),
        (b"\xc9\x00", "a control frame"),
        (b"\x89\x7e\x00\x7e", "a control frame"),
        (b"\x81\x7e\x00\x7d", "shortest form"),
        (b"\x81\x7f" + b"\x00" * 6 + b"\xff\xff", "shortest form"),
        (b"\x81\x7f\x80" + b"\x00" * 7, "too large"),
    ],
)
def test_what_is_no_header_is_refused(raw: bytes, why: str) -> None:
    """By the reserved bits, the opcode, the mask or the length."""
    with pytest.raises(BrokenFrameError, match=why):
        header_at(raw, 0, masked=False)
