"""Follows the frames of one side of a WebSocket (RFC 6455, 5), whatever pieces they arrive in.

Bytes are passed on as they came. A side whose messages must be decided on is *held*: a message
leaves when it is whole, with the bytes that carried it, while control frames between its fragments
leave at once. A message that is too long leaves as it comes; only its last bytes are held.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.usage.realtime.deflate import Deflated, Inflater, UndecodableMessageError
from sidecar.usage.realtime.frame_parts import (
    BrokenFraming,
    ClosingFrame,
    FramePart,
    LongPiece,
    Opcode,
    PassedOn,
    WholeMessage,
)

LONGEST_MESSAGE: Final = 256 * 1024
"""Bytes of a message that is read, and held, whole."""

LONGEST_HELD: Final = LONGEST_MESSAGE + 16 * 1024
"""Bytes of frames that carry it: a message may be of many small fragments."""

FRAMES_AT_ONCE: Final = 256
"""Frames that are followed in one step, up to 2 ms."""

_LONGEST_CONTROL: Final = 125
_TWO_BYTES: Final = 126
_START: Final = 2
_LONGEST_HEADER: Final = 14
"""Of a header: a length up to 125, or what says how long the length is; its first bytes; all."""


class _BrokenError(Exception):
    """The frames cannot be followed any further."""


class FrameFollower:
    """Follows one side. After `BrokenFraming` or `ClosingFrame` everything is `PassedOn`.

    `behind`: bytes are left for another step, `feed(b"")`; until then no more should be read.
    """

    def __init__(
        self,
        *,
        masked: bool,
        held: bool,
        deflated: Deflated | None,
        words: tuple[bytes, ...] = (),
        start: re.Pattern[bytes] | None = None,
    ) -> None:
        """Follow a side whose frames are `masked` (a client's are).

        A message that is too long is named by any of the `words`, or where it begins with `start`.
        """
        self._masked = masked
        self._held = held
        self._inflater = None if deflated is None else Inflater(deflated)
        self._words = words
        self._start = start
        self._overlap = max(map(len, words), default=1) - 1
        self._over = False
        self.behind = False
        self._data = b""
        self._at = 0
        self._parts: list[FramePart] = []
        self._passing: list[bytes] = []
        # the frame
        self._header = b""
        self._opcode = Opcode.CONTINUATION
        self._fin = False
        self._mask = b""
        self._left = -1  # bytes of its payload that are to come; -1 while its header is
        self._control: list[bytes] = []
        # the message
        self._inside = False
        self._is_text = False
        self._compressed = False
        self._payload = bytearray()
        self._raw = bytearray()
        self._last = 0  # bytes of the piece of it that came last
        self._too_long = False
        self._named = False
        self._rest = b""  # the end of what was searched

    @property
    def between_messages(self) -> bool:
        """Whether another message may be sent now, in this direction."""
        return not self._inside and self._left < 0 and not self._header

    def feed(self, data: bytes) -> list[FramePart]:
        """Return what the next bytes complete, in order."""
        if self._inflater is not None:
            self._inflater.allow(len(data))
        self._data += data
        frames = FRAMES_AT_ONCE
        try:
            while self._at < len(self._data) and not self._over:
                if self._left > 0:
                    self._take_payload()
                elif frames:
                    self._take_header()
                    frames -= 1
                else:
                    break
        except (_BrokenError, UndecodableMessageError) as error:
            self._over = True
            held = b"".join((self._raw, *self._control, self._header, self._data[self._at :]))
            self._add(BrokenFraming(str(error), held))
            self._at = len(self._data)
        if self._over:
            self._pass(self._data[self._at :])
            self._at = len(self._data)
        self._data = self._data[self._at :]
        self._at = 0
        self.behind = bool(self._data)
        self._flush()
        parts, self._parts = self._parts, []
        return parts

    # the frame

    def _take_header(self) -> None:
        """Take a header, or a part of it."""
        known = len(self._header)
        header = self._header + self._data[self._at : self._at + _LONGEST_HEADER - known]
        whole = len(header) >= _START
        if whole:
            if known < _START:
                self._check(header)
            length = _header_length(header)
            whole = len(header) >= length
            header = header[:length]
        if not whole:
            self._header = header
            self._at += len(header) - known
            return
        left = _payload_length(header)
        self._at += len(header) - known
        self._left = left
        self._mask = header[-4:] if self._masked else b""
        self._header = b""
        self._begin_frame(header)
        if not left:
            self._end_frame()

    def _check(self, header: bytes) -> None:
        """Refuse a header by its first two bytes."""
        first, second = header[0], header[1]
        if first & 0x30:
            raise _BrokenError("a frame has bits of an unknown extension")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise _BrokenError(f"a frame has the unknown opcode {first & 0x0F}") from None
        if bool(second & 0x80) is not self._masked:
            raise _BrokenError("a frame is masked" if second & 0x80 else "a frame is not masked")
        self._check_order(opcode, header)

    def _check_order(self, opcode: Opcode, header: bytes) -> None:
        """Refuse a frame that may not come here."""
        first = header[0]
        compressed = bool(first & 0x40)
        if opcode >= Opcode.CLOSE:
            if compressed or not first & 0x80 or header[1] & 0x7F > _LONGEST_CONTROL:
                raise _BrokenError("a control frame is compressed, fragmented or too long")
        elif opcode is Opcode.CONTINUATION:
            if compressed or not self._inside:
                raise _BrokenError("a frame continues no message")
        elif self._inside:
            raise _BrokenError("a message begins before the last one has ended")
        elif compressed and self._inflater is None:
            raise _BrokenError("a message is compressed, which was not agreed on")

    def _begin_frame(self, header: bytes) -> None:
        first = header[0]
        self._opcode = Opcode(first & 0x0F)
        self._fin = bool(first & 0x80)
        if self._opcode >= Opcode.CLOSE:
            self._control = [header]
            return
        if self._opcode is not Opcode.CONTINUATION:
            self._inside = True
            self._is_text = self._opcode is Opcode.TEXT
            self._compressed = bool(first & 0x40)
        self._carry(header)

    def _take_payload(self) -> None:
        """Take of the frame's payload what is there."""
        taken = self._data[self._at : self._at + self._left]
        self._at += len(taken)
        self._left -= len(taken)
        if self._opcode >= Opcode.CLOSE:
            self._control.append(taken)
        else:
            self._carry(taken)
            text = taken
            if self._masked:
                text, self._mask = _unmasked(taken, self._mask)
            self._read(text)
        if not self._left:
            self._end_frame()

    def _end_frame(self) -> None:
        self._left = -1
        if self._opcode >= Opcode.CLOSE:
            raw = b"".join(self._control)
            self._control = []
            if self._opcode is Opcode.CLOSE:
                self._over = True
                self._add(ClosingFrame(raw))
            else:
                self._pass(raw)
        elif self._fin:
            self._end_message()

    # the message

    def _carry(self, raw: bytes) -> None:
        """Take bytes of a message's frames."""
        if not self._held:
            self._pass(raw)
            return
        if self._too_long:
            self._release(0)
        self._raw += raw
        self._last = len(raw)
        if len(self._raw) > LONGEST_HELD and not self._too_long:
            self._give_up()

    def _release(self, kept: int) -> None:
        """Pass on what is held of a message that is too long, all but its last bytes."""
        end = len(self._raw) - kept
        if end:
            self._add(LongPiece(bytes(self._raw[:end])))
            del self._raw[:end]

    def _read(self, text: bytes) -> None:
        if self._compressed and self._inflater is not None:
            for piece in self._inflater.inflated(text):
                self._keep(piece)
        else:
            self._keep(text)

    def _keep(self, piece: bytes) -> None:
        if self._too_long:
            self._search(piece)
            return
        self._payload += piece
        if len(self._payload) > LONGEST_MESSAGE:
            self._give_up()

    def _give_up(self) -> None:
        """Read a message no further, except for the words."""
        self._too_long = True
        payload = bytes(self._payload)
        self._named = self._start is not None and self._start.match(payload) is not None
        self._search(payload)
        self._payload = bytearray()
        self._release(self._last)

    def _search(self, piece: bytes) -> None:
        if not self._named:
            text = self._rest + piece
            self._named = any(word in text for word in self._words)
            self._rest = text[len(text) - self._overlap :] if self._overlap < len(text) else text

    def _end_message(self) -> None:
        if self._compressed and self._inflater is not None:
            for piece in self._inflater.end():
                self._keep(piece)
        payload = None
        if not self._too_long:
            payload = bytes(self._payload)
            if self._is_text and not _is_utf8(payload):
                raise _BrokenError("a text is not UTF-8")
        self._add(WholeMessage(bytes(self._raw), payload, self._named))
        self._inside = self._too_long = self._named = False
        self._payload, self._raw = bytearray(), bytearray()
        self._rest = b""

    # what is given back

    def _pass(self, raw: bytes) -> None:
        self._passing.append(raw)

    def _add(self, part: FramePart) -> None:
        self._flush()
        self._parts.append(part)

    def _flush(self) -> None:
        """Give bytes on, together with those before them."""
        raw = b"".join(self._passing)
        if raw:
            self._parts.append(PassedOn(raw))
        self._passing = []


def _header_length(header: bytes) -> int:
    """Return a header's length by its first two bytes."""
    size = header[1] & 0x7F
    length = 2 if size <= _LONGEST_CONTROL else 4 if size == _TWO_BYTES else 10
    return length + 4 if header[1] & 0x80 else length


def _payload_length(header: bytes) -> int:
    """Return the length that a whole header names, which has to be in the shortest form."""
    size = header[1] & 0x7F
    if size <= _LONGEST_CONTROL:
        return size
    short = size == _TWO_BYTES
    length = int.from_bytes(header[_START : 4 if short else 10], "big")
    if length <= (_LONGEST_CONTROL if short else 0xFFFF) or length >= 1 << 63:
        raise _BrokenError("a frame's length is not in the shortest form, or too large")
    return length


def _unmasked(data: bytes, mask: bytes) -> tuple[bytes, bytes]:
    """Return data without its mask, and the mask for what follows."""
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    plain = int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")
    turn = size % 4
    return plain.to_bytes(size, "little"), mask[turn:] + mask[:turn]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
