"""Bodies that come compressed (RFC 9110, 8.4.1), decoded in bounded pieces of bounded memory."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

from sidecar.domain.model import Headers
from sidecar.policy.json_text import PIECE, Piece, pieces_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_WINDOW_LOG: Final = 23
"""Memory of a zstd decoder as a power of two: 8 MiB, the most that RFC 9659 allows in HTTP."""

_WORK: Final = 256
"""What it costs to decode one piece, in the reader's measure: up to 60 us."""

GZIP, ZLIB, BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
"""What zlib calls the three forms of deflate: in gzip, with its own header, without any."""

FAULTS: Final = (zlib.error, zstd.ZstdError)
"""What the streams raise for bytes that are not theirs."""


class UndecodableError(Exception):
    """The coding is not one that is read, or the body is not what it says."""


class TooLongError(Exception):
    """The decoded body is over its limit."""


DecodingStream: TypeAlias = "zlib._Decompress | zstd.ZstdDecompressor"  # noqa: SLF001  zlib exports no name of it
"""A stream of zlib's, or one frame of zstd's: both have `eof`, and then `unused_data`."""


def zstd_stream() -> zstd.ZstdDecompressor:
    """Begin a frame of zstd, within the memory that HTTP allows."""
    limits: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    return zstd.ZstdDecompressor(options=limits)


def decoded_pieces(stream: DecodingStream, data: bytes, size: int) -> Iterator[bytes]:
    """Give what data becomes, in pieces of at most so many bytes."""
    if isinstance(stream, zstd.ZstdDecompressor):
        yield stream.decompress(data, size)
        while not stream.eof and not stream.needs_input:
            yield stream.decompress(b"", size)
        return
    while True:
        out = stream.decompress(data, size)
        yield out
        data = stream.unconsumed_tail
        if stream.eof or (not data and len(out) < size):
            return


def coding_of(headers: Headers) -> str:
    """Return the coding of a body: "" for none. Raises UndecodableError for more than one."""
    values = b",".join(value for name, value in headers if name == b"content-encoding")
    codings = [each.strip(b" \t").lower() for each in values.split(b",")] if values else []
    real = [each.decode("latin-1") for each in codings if each not in (b"", b"identity")]
    if len(real) > 1:
        raise UndecodableError("it has several content codings")
    return real[0] if real else ""


def body_pieces(body: bytes, coding: str, limit: int) -> Iterator[Piece]:
    """Give a body in pieces, decoded within `limit` bytes where it has a coding; see `decoded`."""
    return decoded(body, coding, limit) if coding else pieces_of(body)


def decoded(body: bytes, coding: str, limit: int) -> Iterator[Piece]:
    """Decode a body as it is read.

    Raises UndecodableError for what is not exactly one whole stream: what follows one is the body
    to some decoders and nothing to others. Raises TooLongError over `limit` bytes.
    """
    stream = _stream_of(body, coding)
    size = 0
    try:
        for start in range(0, len(body), PIECE):
            for out in decoded_pieces(stream, body[start : start + PIECE], PIECE):
                size += len(out)
                if size > limit:
                    raise TooLongError
                if stream.eof and (stream.unused_data or start + PIECE < len(body)):
                    raise UndecodableError(f"bytes follow its {coding} stream")
                yield Piece(out, last=stream.eof, work=_WORK)
            if stream.eof:
                return
    except FAULTS:
        raise UndecodableError(f"it is not valid {coding}") from None
    raise UndecodableError(f"its {coding} stream is cut off")


def _stream_of(body: bytes, coding: str) -> DecodingStream:
    match coding:
        case "gzip":
            return zlib.decompressobj(GZIP)
        case "deflate":
            if _is_bare_too(body):
                raise UndecodableError("it could be read as zlib and as bare deflate")
            return zlib.decompressobj(ZLIB)
        case "zstd":
            return zstd_stream()
        case _:
            raise UndecodableError("its content coding is not read here")


def _is_bare_too(body: bytes) -> bool:
    """Say whether a decoder of bare deflate, which some servers have, would get past the header.

    It takes the zlib header for the start of a stored block, whose length comes with its
    complement: nothing that a compressor writes.
    """
    return len(body) > 4 and body[1] ^ body[3] == 0xFF and body[2] ^ body[4] == 0xFF  # noqa: PLR2004
