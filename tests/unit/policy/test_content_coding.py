"""Compressed bodies: which are read, how much at once, and what is refused."""

from __future__ import annotations

import gzip
import json
import random
import sys
import zlib

import pytest

from sidecar.domain.model import Headers
from sidecar.policy.content_coding import (
    TooLongError,
    UndecodableError,
    coding_of,
    decoded,
)
from sidecar.policy.json_text import PIECE
from tests.codings import compressed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = ("gzip", "deflate", "zstd")
TEXT = json.dumps([random.Random(1).random() for _ in range(20_000)]).encode()  # noqa: S311


def content(body: bytes, coding: str, limit: int = 1 << 20) -> bytes:
    """Decode a body to its end."""
    pieces = list(decoded(body, coding, limit))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(len(piece.data) <= PIECE and piece.work for piece in pieces)
    return b"".join(piece.data for piece in pieces)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("text", [b"", b"{}", b"x" * 1_000_000, TEXT], ids=["", "{}", "x", "text"])
def test_a_body_is_decoded_in_pieces(coding: str, text: bytes) -> None:
    """All of it, none larger than a piece."""
    assert content(compressed(text, coding), coding) == text


@pytest.mark.parametrize("coding", CODINGS)
def test_the_decoded_size_is_bounded(coding: str) -> None:
    """A bomb is given up at the limit, not at its end."""
    bomb = compressed(bytes(50_000_000), coding)
    taken = 0
    pieces = decoded(bomb, coding, 100_000)
    for _ in range(100_000 // PIECE):
        taken += len(next(pieces).data)
    with pytest.raises(TooLongError):
        next(pieces)
    assert taken <= 100_000
    assert content(compressed(b"x" * 100, coding), coding, 100) == b"x" * 100
    with pytest.raises(TooLongError):
        content(compressed(b"x" * 101, coding), coding, 100)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("text", [b"{}", TEXT], ids=["short", "long"])
def test_only_one_whole_stream_is_a_body(coding: str, text: bytes) -> None:
    """Cut off, damaged, with another behind it or with a byte: to some decoders another text."""
    good = compressed(text, coding)
    damaged = bytearray(good)
    damaged[-6 if coding != "zstd" else 1] ^= 0x40
    for body in (good[:-1], good[:3], good + b"x", good + good, bytes(damaged), text, b"\0" * 50):
        with pytest.raises(UndecodableError):
            content(body, coding)


def test_the_memory_of_a_zstd_decoder_is_bounded() -> None:
    """A window of 8 MiB is the most that RFC 9659 allows; a larger one is not decoded."""

    def with_window(log: int) -> bytes:
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
        return compressor.compress(b"{}") + compressor.flush()

    assert content(with_window(23), "zstd") == b"{}"
    with pytest.raises(UndecodableError):
        content(with_window(24), "zstd")


def test_a_body_that_is_bare_deflate_too_is_refused() -> None:
    """The zlib header starts a stored block there, whose length may be given right behind it."""
    hidden = b"\x01\x07\x00\xf8\xff" + b'{"n":1}'  # a last stored block, to bare deflate
    both = b"\x78\x01\x00\xfe\xff\x01" + hidden
    assert zlib.decompress(both, wbits=-15) == b'\x01{"n":1}'
    with pytest.raises(UndecodableError, match="bare deflate"):
        content(both, "deflate")
    bare = zlib.compressobj(wbits=-15)
    with pytest.raises(UndecodableError, match="not valid deflate"):
        content(bare.compress(b"{}") + bare.flush(), "deflate")


def test_a_stream_that_gives_nothing_is_read_in_pieces() -> None:
    """Empty blocks by the thousand: each step takes a bounded part of them."""
    deflater = zlib.compressobj(wbits=31)
    body = deflater.compress(b"{}") + b"".join(
        deflater.flush(zlib.Z_FULL_FLUSH) + deflater.compress(b"") for _ in range(3)
    )
    body = body[:-5] + body[-5:] * 20_000 + deflater.flush()
    assert sum(1 for _ in decoded(body, "gzip", 100)) >= len(body) / PIECE


@pytest.mark.parametrize("coding", ["br", "compress", "x-gzip", "aws-chunked", "gzip;q=1", "*"])
def test_another_coding_is_not_read(coding: str) -> None:
    """Only what the documentation names."""
    with pytest.raises(UndecodableError):
        content(gzip.compress(b"{}"), coding)


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        ([], ""),
        ([(b"content-type", b"gzip")], ""),
        ([(b"content-encoding", b"")], ""),
        ([(b"content-encoding", b"Identity")], ""),
        ([(b"content-encoding", b" GZip\t")], "gzip"),
        ([(b"content-encoding", b"gzip, ,")], "gzip"),
        ([(b"content-encoding", b"\xff")], "\xff"),
    ],
)
def test_the_coding_of_a_body(headers: Headers, coding: str) -> None:
    """One name, in any case; identity is none."""
    assert coding_of(headers) == coding


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-encoding", b"gzip, gzip")],
        [(b"content-encoding", b"gzip"), (b"content-encoding", b"gzip")],
        [(b"content-encoding", b"deflate,br")],
    ],
)
def test_several_codings_are_refused(headers: Headers) -> None:
    """In one line or in two."""
    with pytest.raises(UndecodableError, match="several"):
        coding_of(headers)
