"""permessage-deflate (RFC 7692): what was agreed on, and messages that are inflated within bounds.

What was agreed on is in the head of the answer alone: the parameters in it are the ones in force.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.policy.content_coding import decoded_pieces

PIECE: Final = 64 * 1024
"""Bytes that are inflated at once."""

MOST_AT_ONCE: Final = 1024 * 1024
"""Bytes that compressed data may become in one step: up to 4 ms."""

_NAME: Final = b"permessage-deflate"
_END: Final = b"\x00\x00\xff\xff"
"""The sender removes this from the end of each message (RFC 7692, 7.2.1)."""

_WIDEST: Final = 15
_NARROWEST: Final = 9  # what zlib compresses for a window of 8 needs 9


class UnknownExtensionError(ValueError):
    """The answer agrees on an extension, or on a parameter, that cannot be followed."""


class UndecodableMessageError(Exception):
    """A message is not in the compression that was agreed on, or becomes too much."""


@dataclass(frozen=True, slots=True)
class Deflated:
    """How the messages of one side are compressed; `takeover`: with the window of earlier ones."""

    window_bits: int = _WIDEST
    takeover: bool = True


@dataclass(frozen=True, slots=True)
class AgreedDeflate:
    """What was agreed on for both sides."""

    client: Deflated
    server: Deflated


def agreed_deflate(fields: Sequence[tuple[bytes, bytes]]) -> AgreedDeflate | None:
    """Read the fields of a 101; None where messages are not compressed.

    Raises UnknownExtensionError for what changes frames in any other way.
    """
    named = b",".join(value for name, value in fields if name == b"sec-websocket-extensions")
    extensions = [each.strip() for each in named.split(b",") if each.strip()]
    if not extensions:
        return None
    name, *parameters = (part.strip() for part in extensions[0].split(b";"))
    if len(extensions) > 1 or name != _NAME:
        raise UnknownExtensionError(f"extensions {named[:100]!r}: only permessage-deflate is known")
    found: dict[bytes, bytes] = {}
    for parameter in parameters:
        key, _, value = (part.strip() for part in parameter.partition(b"="))
        if key in found:
            raise UnknownExtensionError(f"{key[:100]!r} of permessage-deflate is given twice")
        found[key] = value.strip(b'"')
    sides = [
        Deflated(
            _window_bits(found.pop(side + b"_max_window_bits", b"15")),
            found.pop(side + b"_no_context_takeover", None) is None,
        )
        for side in (b"client", b"server")
    ]
    if found:
        raise UnknownExtensionError(f"{sorted(found)!r} of permessage-deflate are not known")
    return AgreedDeflate(*sides)


def _window_bits(value: bytes) -> int:
    if not value.isdigit() or len(value) > 2 or not 8 <= int(value) <= _WIDEST:  # noqa: PLR2004
        raise UnknownExtensionError(f"a window of {value[:100]!r} bits: 8 to 15 are known")
    return max(int(value), _NARROWEST)


class Inflater:
    """Inflates the messages of one side, one after the other."""

    def __init__(self, how: Deflated) -> None:
        """Begin with an empty window."""
        self._how = how
        self._stream = zlib.decompressobj(-how.window_bits)
        self._left = 0

    def allow(self, compressed: int) -> None:
        """Begin a step: that many bytes have arrived, and limit what becomes of them."""
        self._left = max(MOST_AT_ONCE, 16 * compressed)

    def inflated(self, data: bytes) -> Iterator[bytes]:
        """Give what a part of a message becomes. Raises UndecodableMessageError."""
        try:
            for piece in decoded_pieces(self._stream, data, PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise UndecodableMessageError("it becomes too many bytes at once")
                if self._stream.eof:
                    raise UndecodableMessageError("its compression ends before it does")
                if piece:
                    yield piece
        except zlib.error:
            raise UndecodableMessageError("it cannot be inflated") from None

    def end(self) -> Iterator[bytes]:
        """Give what the end of a message becomes. Raises UndecodableMessageError."""
        yield from self.inflated(_END)
        if not self._how.takeover:
            self._stream = zlib.decompressobj(-self._how.window_bits)
