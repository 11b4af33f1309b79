"""No chunked body ends, or holds, anything but what an independent parser (h11) says."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from itertools import pairwise, product
from unittest.mock import patch

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.http1 import framing
from sidecar.http1.errors import ProtocolError
from sidecar.http1.framing import ChunkedBody, CountedBody
from tests.properties.examples import examples
from tests.properties.http_messages import CHUNKED_BODIES, pieces

NEXT = b"GET /next HTTP/1.1\r\n\r\n"


@dataclass(frozen=True)
class Read:
    """A whole body: what is passed on, what comes after it, and its trailers."""

    passed: bytes
    rest: bytes
    trailers: tuple[tuple[bytes, bytes], ...]
    end: bytes


def ours(parts: list[bytes], *, decode: bool = False) -> Read | None:
    """Read a body that comes in parts; None where it is refused, or not whole."""
    body = ChunkedBody(decode=decode)
    passed = rest = b""
    try:
        for part in parts:
            more, left = body.feed(part)
            passed += more
            rest += left
    except ProtocolError:
        return None
    return Read(passed, rest, tuple(body.trailers), body.last_chunk()) if body.done else None


def theirs(data: bytes) -> tuple[bytes, bytes] | None:
    """Read a body with h11: its content, and what comes after it."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(data)
    content = b""
    try:
        while isinstance(event := connection.next_event(), h11.Data):
            content += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.EndOfMessage):
        return None
    return content, connection.trailing_data[0]


def h11_is_stricter(data: bytes) -> bool:
    """Say whether a body has what h11 refuses and we, rightly, do not pass on.

    h11 checks Content-Length and Transfer-Encoding wherever they stand: in a trailer they frame
    nothing (RFC 9110, 6.5.1). It refuses space before an extension, which RFC 9112, 7.1.1 allows.
    We drop trailers of those names and all extensions, so the next reader meets neither.
    """
    lower = data.lower()
    framing_in_trailers = b"content-length" in lower or b"transfer-encoding" in lower
    return framing_in_trailers or re.search(rb"[0-9a-f][ \t]+;", lower) is not None


@settings(max_examples=examples(800))
@given(CHUNKED_BODIES)
def test_what_we_accept_h11_reads_alike(data: bytes) -> None:
    """Where the two differ over a body, we are the one that refuses."""
    content = ours([data + NEXT], decode=True)
    if content is None:
        return
    read = theirs(data + NEXT)
    if read is None:
        assert h11_is_stricter(data)
    else:
        assert read == (content.passed, content.rest)


@settings(max_examples=examples(400))
@given(CHUNKED_BODIES)
def test_what_we_pass_on_h11_reads_as_the_content(data: bytes) -> None:
    """Whatever came, what goes on is clean, and holds the same content and nothing after it."""
    passed, content = ours([data]), ours([data], decode=True)
    assert (passed is None) == (content is None)
    if passed is not None and content is not None:
        assert theirs(passed.passed + passed.end) == (content.passed, b"")


@settings(max_examples=examples(400))
@given(pieces(CHUNKED_BODIES), st.booleans())
def test_no_cut_changes_anything(parts: list[bytes], decode: bool) -> None:  # noqa: FBT001
    """Refused whole, refused in pieces; else the same bytes go on, and the same are left."""
    assert ours(parts, decode=decode) == ours([b"".join(parts)], decode=decode)


def test_nothing_that_was_read_before_changes_a_verdict() -> None:
    """Each body with a fault near its first chunk's end, read with no size line known and with all.

    All pairs of sizes of one to four digits: a missing CRLF may leave a line as wide as expected.
    """
    sizes = (1, 5, 0x11, 0x50, 0x101, 0x500, 0x1000)
    fillings = (b"", b"0", b"50", b"\r", b"\n", b"\r\n")
    places = product(sizes, sizes, range(-2, 3), range(5), fillings)
    for first, second, beside, gone, filling in places:
        start = b"%x\r\n%b" % (first, b"a" * first)
        data = b"%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (start, second, b"a" * second)
        at = len(start) + beside
        broken = data[:at] + filling + data[at + gone :]
        framing._known.clear()
        framing._known_next.clear()
        unknown = ours([broken])
        for found in re.finditer(rb"(?=([1-9a-f][0-9a-f]{0,3}\r\n))", broken):
            with contextlib.suppress(ProtocolError):
                ChunkedBody().feed(found[1])
        assert ours([broken]) == unknown, (first, second, beside, gone, filling)


@settings(max_examples=examples(200))
@given(pieces(CHUNKED_BODIES), st.booleans())
def test_feeding_what_is_left_over_changes_nothing(
    parts: list[bytes],
    decode: bool,  # noqa: FBT001
) -> None:
    """Looked at chunk by chunk, the same bytes go on, and the same are left."""
    body = ChunkedBody(decode=decode, bounded=True)
    passed = rest = b""
    with patch.object(framing, "_CHUNKS_AT_ONCE", 1):
        try:
            for part in parts:
                left = part
                while left and not body.done:
                    more, left = body.feed(left)
                    passed += more
                rest += left
        except ProtocolError:
            assert ours(parts, decode=decode) is None
            return
    whole = ours(parts, decode=decode)
    read = Read(passed, rest, tuple(body.trailers), body.last_chunk()) if body.done else None
    assert read == whole


@settings(max_examples=examples(200))
@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    st.lists(st.integers(1, 40), max_size=20),
)
def test_a_good_body_is_accepted(contents: list[bytes], cuts: list[int]) -> None:
    """A body framed by h11 is read, and passed on byte for byte, however it is cut."""
    sender = h11.Connection(h11.CLIENT)
    fields = [("host", "a"), ("transfer-encoding", "chunked")]
    sender.send(h11.Request(method="POST", target="/", headers=fields))
    framed = b"".join(sender.send(h11.Data(data=content)) or b"" for content in contents)
    end = sender.send(h11.EndOfMessage()) or b""
    data = framed + end
    parts: list[bytes] = []
    for cut in cuts:
        parts.append(data[:cut])
        data = data[cut:]
    assert ours([*parts, data]) == Read(framed, b"", (), end)


@settings(max_examples=examples(200))
@given(st.binary(max_size=60), st.integers(0, 40), st.lists(st.integers(0, 60), max_size=6))
def test_a_counted_body_takes_its_count(data: bytes, length: int, cuts: list[int]) -> None:
    """So many bytes are the body's, and not one more, however they are cut."""
    body = CountedBody(length)
    passed = rest = b""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        more, left = body.feed(data[start:end])
        passed += more
        rest += left
    assert (passed, rest, body.done) == (data[:length], data[length:], len(data) >= length)


@settings(max_examples=examples(300))
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a `ProtocolError` comes out, whatever goes in."""
    ours([data])
