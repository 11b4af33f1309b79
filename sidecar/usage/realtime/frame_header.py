"""The header of a frame (RFC 6455, 5.2), read from the bytes that are there of it."""

from __future__ import annotations

from typing import Final, NamedTuple

from sidecar.usage.realtime.frame_parts import Opcode

LONGEST_CONTROL: Final = 125
"""Bytes of a control frame's payload; a header names a longer one in 2 or 8 bytes of its own."""

_START: Final = 2
_TWO_BYTES: Final = 126


class BrokenFrameError(Exception):
    """The frames cannot be followed any further."""


class FrameHeader(NamedTuple):
    """What a header says of its frame, and its bytes. `size`: of the payload."""

    raw: bytes
    opcode: Opcode
    fin: bool
    compressed: bool
    mask: bytes
    size: int

    @property
    def is_control(self) -> bool:
        """Whether the frame is none of a message."""
        return self.opcode >= Opcode.CLOSE


def header_at(data: bytes, at: int, *, masked: bool) -> FrameHeader | None:
    """Read the header that begins at `at`; None where it is not whole. Raises BrokenFrameError."""
    if len(data) < at + _START:
        return None
    first, second = data[at], data[at + 1]
    if first & 0x30:
        raise BrokenFrameError("a frame has bits of an unknown extension")
    try:
        opcode = Opcode(first & 0x0F)
    except ValueError:
        raise BrokenFrameError(f"a frame has the unknown opcode {first & 0x0F}") from None
    if bool(second & 0x80) is not masked:
        raise BrokenFrameError("a frame is not masked" if masked else "a frame is masked")
    fin, compressed, size = bool(first & 0x80), bool(first & 0x40), second & 0x7F
    if opcode >= Opcode.CLOSE and (compressed or not fin or size > LONGEST_CONTROL):
        raise BrokenFrameError("a control frame is compressed, fragmented or too long")
    wide = 0 if size <= LONGEST_CONTROL else 2 if size == _TWO_BYTES else 8
    behind_size = at + _START + wide
    end = behind_size + 4 if masked else behind_size
    if len(data) < end:
        return None
    if wide:
        size = int.from_bytes(data[at + _START : behind_size], "big")
        if size <= (LONGEST_CONTROL if wide == 2 else 0xFFFF) or size >= 1 << 63:  # noqa: PLR2004
            raise BrokenFrameError("a frame's length is not in the shortest form, or too large")
    return FrameHeader(data[at:end], opcode, fin, compressed, data[behind_size:end], size)
