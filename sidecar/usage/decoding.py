"""Compressed answers, decoded beside the stream that passes unchanged."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Final

from sidecar.policy.content_coding import MAX_WINDOW_LOG, UndecodableError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE: Final = 64 * 1024
"""Bytes that are decoded at once."""

MOST_OF_ONE_PIECE: Final = 512 * 1024
"""Bytes that one piece of a compressed answer may become: up to 2 ms."""

_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_DEFLATE_METHOD: Final = 8


class TooDenseError(Exception):
    """A piece becomes more bytes than are read of one."""


class _Inflating:
    """gzip, and deflate with or without its zlib header (RFC 9110, 8.4.1.2, knows that both occur).

    gzip may have several members, one behind the other (RFC 1952, 2.2).
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None

    def decoded(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream is None:
                self._stream = zlib.decompressobj(self._window(data))
            yield self._stream.decompress(data, PIECE)
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data = self._stream.unused_data if self._coding == "gzip" else b""
                self._stream = None

    def _window(self, data: bytes) -> int:
        if self._coding == "gzip":
            return _GZIP
        header = int.from_bytes(data[:2], "big")
        has_header = data[0] & 0x0F == _DEFLATE_METHOD and header % 31 == 0
        return _ZLIB if has_header else _BARE


class _Unpacking:
    """zstd, whose frames may follow one another (RFC 8878, 3)."""

    def __init__(self) -> None:
        self._stream: zstd.ZstdDecompressor | None = None

    def decoded(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream is None:
                limits: dict[int, int] = {
                    zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG
                }
                self._stream = zstd.ZstdDecompressor(options=limits)
            yield self._stream.decompress(data, PIECE)
            while not self._stream.eof and not self._stream.needs_input:
                yield self._stream.decompress(b"", PIECE)
            data = self._stream.unused_data if self._stream.eof else b""
            if self._stream.eof:
                self._stream = None


class AnswerDecoder:
    """Decodes an answer in the pieces that arrive."""

    def __init__(self, coding: str) -> None:
        """Raise UndecodableError for a coding that is not read."""
        match coding:
            case "gzip" | "deflate":
                self._stream: _Inflating | _Unpacking = _Inflating(coding)
            case "zstd":
                self._stream = _Unpacking()
            case _:
                raise UndecodableError("its content coding is not read here")

    def decoded(self, piece: bytes) -> Iterator[bytes]:
        """Give what a piece becomes.

        Raises UndecodableError for what is not in this coding, and TooDenseError for a piece that
        becomes too much.
        """
        left = MOST_OF_ONE_PIECE
        try:
            for text in self._stream.decoded(piece):
                left -= len(text)
                if left < 0:
                    raise TooDenseError
                if text:
                    yield text
        except (zlib.error, zstd.ZstdError):
            raise UndecodableError("it is not in its content coding") from None
