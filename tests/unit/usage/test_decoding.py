"""Compressed answers are decoded beside the stream, within bounds."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import pytest

from sidecar.domain.usage import MissingCause, Tokens, UsageFormat
from sidecar.policy.content_coding import UndecodableError
from sidecar.usage.decoding import AnswerDecoder
from tests.unit.usage.samples import CHAT_STREAM, EVENTS, read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def bare(body: bytes) -> bytes:
    """Compress without the zlib header, as some servers do."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


def members(body: bytes) -> bytes:
    """Compress as two members of gzip."""
    return gzip.compress(body[:100]) + gzip.compress(body[100:])


def frames(body: bytes) -> bytes:
    """Compress as two frames of zstd."""
    return zstd.compress(body[:100]) + zstd.compress(body[100:])


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        (b"gzip", gzip.compress),
        (b"GZIP", members),
        (b"deflate", zlib.compress),
        (b"deflate", bare),
        (b"zstd", zstd.compress),
        (b"zstd", frames),
    ],
)
def test_a_compressed_answer_is_read(coding: bytes, compress: Callable[[bytes], bytes]) -> None:
    """In whatever parts it comes."""
    body = compress(CHAT_STREAM)
    headers = (*EVENTS, (b"content-encoding", coding))
    for parts in ([body], [bytes([byte]) for byte in body]):
        found = read(UsageFormat.OPENAI, *parts, headers=headers)
        assert (found.tokens, found.text_bytes) == (Tokens(30, 60, 10, 40), 11)


@pytest.mark.parametrize("coding", [b"br", b"gzip, gzip", b"gzip", b"deflate", b"zstd"])
def test_what_cannot_be_decoded_is_unreadable(coding: bytes) -> None:
    """Its bytes count as text, lest it be free."""
    headers = (*EVENTS, (b"content-encoding", coding))
    found = read(UsageFormat.OPENAI, b"?" * 9000, headers=headers)
    assert (found.tokens, found.missing) == (None, MissingCause.UNREADABLE)
    assert found.text_bytes > 800


def test_a_piece_that_becomes_too_much_ends_the_reading() -> None:
    """It would hold the loop."""
    headers = (*EVENTS, (b"content-encoding", b"gzip"))
    found = read(UsageFormat.OPENAI, gzip.compress(b"\n" * 20_000_000), headers=headers)
    assert found.missing is MissingCause.TOO_LARGE


def test_an_unknown_coding_is_refused() -> None:
    """The reader of the answer gives up then."""
    with pytest.raises(UndecodableError):
        AnswerDecoder("br")
