"""Follows the frames of one side of a WebSocket (RFC 6455, 5), whatever pieces they arrive in.

Bytes are passed on as they came. A side whose messages must be decided on is *held*: a message
leaves when it is whole, with the bytes that carried it, while control frames between its fragments
leave at once. A message that is too long leaves as it comes; only its last bytes are held.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.usage.realtime.deflate import Deflated, Inflater, UndecodableMessageError
from sidecar.usage.realtime.frame_header import BrokenFrameError, FrameHeader, header_at
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
        self._frame: FrameHeader | None = None  # of a message; none while its header is to come
        self._mask = b""
        self._left = 0  # bytes of its payload that are to come
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
        begun = self._frame is not None or (bool(self._data) and not self.behind)
        return not self._inside and not begun

    def feed(self, data: bytes) -> list[FramePart]:
        """Return what the next bytes complete, in order."""
        if self._inflater is not None:
            self._inflater.allow(len(data))
        self._data += data
        self.behind = False
        frames = FRAMES_AT_ONCE
        try:
            while self._at < len(self._data) and not self._over:
                if self._frame is not None:
                    self._take_payload(self._frame)
                elif not frames:
                    self.behind = True
                    break
                elif not self._take_header():
                    break
                else:
                    frames -= 1
        except (BrokenFrameError, UndecodableMessageError) as error:
            self._over = True
            held = bytes(self._raw) + self._data[self._at :]
            self._add(BrokenFraming(str(error), held))
            self._at = len(self._data)
        if self._over:
            self._pass(self._data[self._at :])
            self._at = len(self._data)
        self._data = self._data[self._at :]
        self._at = 0
        self._flush()
        parts, self._parts = self._parts, []
        return parts

    # the frame

    def _take_header(self) -> bool:
        """Take a header, or a whole control frame; False where the rest of it is to come."""
        header = header_at(self._data, self._at, masked=self._masked)
        if header is None:
            return False
        if header.is_control:
            return self._take_control(header)
        self._check_order(header)
        self._at += len(header.raw)
        self._frame, self._mask, self._left = header, header.mask, header.size
        if header.opcode is not Opcode.CONTINUATION:
            self._inside = True
            self._is_text = header.opcode is Opcode.TEXT
            self._compressed = header.compressed
        self._carry(header.raw)
        if not header.size:
            self._end_frame(header)
        return True

    def _take_control(self, header: FrameHeader) -> bool:
        end = self._at + len(header.raw) + header.size
        if len(self._data) < end:
            return False
        raw = self._data[self._at : end]
        self._at = end
        if header.opcode is Opcode.CLOSE:
            self._over = True
            self._add(ClosingFrame(raw))
        else:
            self._pass(raw)
        return True

    def _check_order(self, header: FrameHeader) -> None:
        """Refuse a frame of a message that may not come here."""
        if header.opcode is Opcode.CONTINUATION:
            if header.compressed or not self._inside:
                raise BrokenFrameError("a frame continues no message")
        elif self._inside:
            raise BrokenFrameError("a message begins before the last one has ended")
        elif header.compressed and self._inflater is None:
            raise BrokenFrameError("a message is compressed, which was not agreed on")

    def _take_payload(self, frame: FrameHeader) -> None:
        """Take of the frame's payload what is there."""
        text = self._data[self._at : self._at + self._left]
        self._at += len(text)
        self._left -= len(text)
        self._carry(text)
        if self._masked:
            text, self._mask = _unmasked(text, self._mask)
        self._read(text)
        if not self._left:
            self._end_frame(frame)

    def _end_frame(self, frame: FrameHeader) -> None:
        self._frame = None
        if frame.fin:
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
                raise BrokenFrameError("a text is not UTF-8")
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
