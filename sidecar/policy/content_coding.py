"""Bodies that come compressed (RFC 9110, 8.4.1), decoded in bounded pieces of bounded memory."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from sidecar.domain.model import Headers
from sidecar.policy.json_text import PIECE, Piece

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_WINDOW_LOG: Final = 23
"""Memory of a zstd decoder as a power of two: 8 MiB, the most that RFC 9659 allows in HTTP."""

_WORK: Final = 256
"""What it costs to decode one piece, in the reader's measure: up to 60 us."""

_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS


class UndecodableError(Exception):
    """The coding is not one that is read, or the body is not what it says."""


class TooLongError(Exception):
    """The decoded body is over its limit."""


class _Decoder(Protocol):
    """What zlib and zstd have in common once `_Inflater` has hidden the difference."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream has come."""

    @property
    def unused_data(self) -> bytes:
        """What came behind it."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more can be decoded of what it has."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take data; return at most so many bytes of what is decoded."""


class _Inflater:
    """A zlib stream, used as the zstd decoder is."""

    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(out) < max_length
        return out


def coding_of(headers: Headers) -> str:
    """Return the coding of a body: "" for none. Raises UndecodableError for more than one."""
    values = b",".join(value for name, value in headers if name == b"content-encoding")
    codings = [each.strip(b" \t").lower() for each in values.split(b",")] if values else []
    real = [each.decode("latin-1") for each in codings if each not in (b"", b"identity")]
    if len(real) > 1:
        raise UndecodableError("it has several content codings")
    return real[0] if real else ""


def decoded(body: bytes, coding: str, limit: int) -> Iterator[Piece]:
    """Decode a body as it is read.

    Raises UndecodableError for what is not exactly one whole stream: what follows one is the body
    to some decoders and nothing to others. Raises TooLongError over `limit` bytes.
    """
    decoder = _decoder(body, coding)
    size = 0
    for start in range(0, len(body), PIECE):
        data = body[start : start + PIECE]
        while True:
            try:
                out = decoder.decompress(data, PIECE)
            except (zlib.error, zstd.ZstdError):
                raise UndecodableError(f"it is not valid {coding}") from None
            size += len(out)
            if size > limit:
                raise TooLongError
            if decoder.eof:
                if decoder.unused_data or start + PIECE < len(body):
                    raise UndecodableError(f"bytes follow its {coding} stream")
                yield Piece(out, last=True, work=_WORK)
                return
            yield Piece(out, last=False, work=_WORK)
            data = b""
            if decoder.needs_input:
                break
    raise UndecodableError(f"its {coding} stream is cut off")


def _decoder(body: bytes, coding: str) -> _Decoder:
    match coding:
        case "gzip":
            return _Inflater(_GZIP)
        case "deflate":
            if _is_bare_too(body):
                raise UndecodableError("it could be read as zlib and as bare deflate")
            return _Inflater(_ZLIB)
        case "zstd":
            limits: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
            return zstd.ZstdDecompressor(options=limits)
        case _:
            raise UndecodableError("its content coding is not read here")


def _is_bare_too(body: bytes) -> bool:
    """Say whether a decoder of bare deflate, which some servers have, would get past the header.

    It takes the zlib header for the start of a stored block, whose length comes with its
    complement: nothing that a compressor writes.
    """
    return len(body) > 4 and body[1] ^ body[3] == 0xFF and body[2] ^ body[4] == 0xFF  # noqa: PLR2004
