"""Compressed answers, decoded beside the stream that passes unchanged."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from sidecar.policy.content_coding import (
    BARE,
    FAULTS,
    GZIP,
    ZLIB,
    DecodingStream,
    UndecodableError,
    decoded_pieces,
    zstd_stream,
)

PIECE: Final = 64 * 1024
"""Bytes that are decoded at once."""

MOST_OF_ONE_PIECE: Final = 512 * 1024
"""Bytes that one piece of a compressed answer may become: up to 2 ms."""

_READ: Final = frozenset({"gzip", "deflate", "zstd"})
_DEFLATE_METHOD: Final = 8


class TooDenseError(Exception):
    """A piece becomes more bytes than are read of one."""


class AnswerDecoder:
    """Decodes an answer in the pieces that arrive.

    gzip may have several members, and zstd several frames, one behind the other (RFC 1952, 2.2;
    RFC 8878, 3).
    """

    def __init__(self, coding: str) -> None:
        """Raise UndecodableError for a coding that is not read."""
        if coding not in _READ:
            raise UndecodableError("its content coding is not read here")
        self._coding = coding
        self._stream: DecodingStream | None = None

    def decoded(self, piece: bytes) -> Iterator[bytes]:
        """Give what a piece becomes.

        Raises UndecodableError for what is not in this coding, and TooDenseError for a piece that
        becomes too much.
        """
        left = MOST_OF_ONE_PIECE
        try:
            while piece:
                stream = self._stream = self._stream or self._begun(piece)
                for text in decoded_pieces(stream, piece, PIECE):
                    left -= len(text)
                    if left < 0:
                        raise TooDenseError
                    if text:
                        yield text
                piece = b""
                if stream.eof:
                    self._stream = None
                    piece = b"" if self._coding == "deflate" else stream.unused_data
        except FAULTS:
            raise UndecodableError("it is not in its content coding") from None

    def _begun(self, data: bytes) -> DecodingStream:
        """Begin a stream; deflate occurs with its zlib header and without (RFC 9110, 8.4.1.2)."""
        if self._coding == "zstd":
            return zstd_stream()
        if self._coding == "gzip":
            return zlib.decompressobj(GZIP)
        header = int.from_bytes(data[:2], "big")
        has_header = data[0] & 0x0F == _DEFLATE_METHOD and header % 31 == 0
        return zlib.decompressobj(ZLIB if has_header else BARE)
