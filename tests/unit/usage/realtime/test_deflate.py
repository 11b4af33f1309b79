"""What two heads agree on, and messages that are inflated within bounds."""

from __future__ import annotations

import zlib

import pytest

from sidecar.usage.realtime.deflate import (
    AgreedDeflate,
    Deflated,
    Inflater,
    UndecodableMessageError,
    UnknownExtensionError,
    agreed_deflate,
)

NAME = b"sec-websocket-extensions"


def compressed(text: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """Compress a message as RFC 7692 has it."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(text) + stream.flush(flush)).removesuffix(b"\x00\x00\xff\xff")


def test_no_extension_is_no_compression() -> None:
    """Most answers name none."""
    assert agreed_deflate([(b"upgrade", b"websocket")]) is None


def test_parameters_are_of_each_side() -> None:
    """A window and its takeover are agreed on for each direction."""
    value = b'permessage-deflate; server_no_context_takeover; client_max_window_bits="10"'
    expected = AgreedDeflate(Deflated(10), Deflated(takeover=False))
    assert agreed_deflate([(NAME, value)]) == expected


def test_the_smallest_window_is_read_with_the_next_one() -> None:
    """Zlib compresses for a window of 8 bits with one of 9."""
    agreed = agreed_deflate([(NAME, b"permessage-deflate;server_max_window_bits=8")])
    assert agreed is not None
    assert agreed.server.window_bits == 9


@pytest.mark.parametrize(
    "value",
    [
        b"x-webkit-deflate-frame",
        b"permessage-deflate, permessage-deflate",
        b"permessage-deflate; server_max_window_bits=7",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate; new_parameter",
        b"permessage-deflate; server_max_window_bits=9; server_max_window_bits=10",
    ],
)
def test_what_cannot_be_followed_is_an_error(value: bytes) -> None:
    """It changes frames in a way that is not known."""
    with pytest.raises(UnknownExtensionError):
        agreed_deflate([(NAME, value)])


def test_a_message_is_inflated() -> None:
    """Its end was removed by the sender."""
    inflater = Inflater(Deflated())
    inflater.allow(100)
    data = compressed(b"hello" * 50)
    assert b"".join([*inflater.inflated(data), *inflater.end()]) == b"hello" * 50


def test_a_message_that_becomes_many_pieces_is_inflated_whole() -> None:
    """Also what zlib still holds when it has taken all that came."""
    inflater = Inflater(Deflated())
    inflater.allow(1)
    data = compressed(bytes(1_000_000))
    assert sum(len(piece) for piece in inflater.inflated(data)) == 1_000_000
    assert list(inflater.end()) == []


def test_without_takeover_a_message_cannot_name_an_earlier_one() -> None:
    """Its window begins empty."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, second = (
        (stream.compress(b"hello there") + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)
    )
    inflater = Inflater(Deflated(takeover=False))
    inflater.allow(100)
    assert b"".join([*inflater.inflated(first), *inflater.end()]) == b"hello there"
    with pytest.raises(UndecodableMessageError):
        list(inflater.inflated(second))


def test_a_bomb_is_an_error() -> None:
    """A small message that becomes a large one would hold the loop."""
    inflater = Inflater(Deflated())
    data = compressed(bytes(10_000_000))
    inflater.allow(len(data))
    with pytest.raises(UndecodableMessageError, match="too many"):
        list(inflater.inflated(data))


def test_a_stream_that_ends_is_an_error() -> None:
    """A last block leaves no window for the next message."""
    inflater = Inflater(Deflated())
    inflater.allow(100)
    with pytest.raises(UndecodableMessageError, match="ends"):
        list(inflater.inflated(compressed(b"hello", zlib.Z_FINISH)))


def test_no_compression_is_an_error() -> None:
    """It is reported in the same way as all else that cannot be read."""
    inflater = Inflater(Deflated())
    inflater.allow(100)
    with pytest.raises(UndecodableMessageError, match="inflated"):
        list(inflater.inflated(b"\xff\xff\xff"))
