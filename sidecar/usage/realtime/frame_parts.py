"""What the frames of one side are taken apart into, in the order in which it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Opcode(IntEnum):
    """What a frame carries."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Bytes that need no decision."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class LongPiece:
    """Bytes of a message that is too long to be held: all but its last ones."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """A whole message: text or binary.

    `raw`: the bytes that carried it and have not left yet: of a side that is not held, none; of a
    message that is too long, the last ones. `payload` is None where it is too long; then `named`
    says whether one of the words that were looked for is in it, or it begins as was looked for.
    """

    raw: bytes
    payload: bytes | None
    named: bool


@dataclass(frozen=True, slots=True)
class ClosingFrame:
    """The last frame of this side; what comes behind it is not of the WebSocket."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class BrokenFraming:
    """What came is no WebSocket, or cannot be followed; `raw` is all that has not left yet."""

    why: str
    raw: bytes


FramePart = PassedOn | LongPiece | WholeMessage | ClosingFrame | BrokenFraming
