"""Bodies: where they end, what is refused, and which bytes go on."""

from __future__ import annotations

import h11
import pytest

from sidecar.http1 import framing
from sidecar.http1.errors import ProtocolError
from sidecar.http1.framing import (
    BodyFraming,
    ChunkedBody,
    CountedBody,
    UntilCloseBody,
    body_of,
    is_safe_trailer,
    known_chunks,
)
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE
from tests.unit.http1.chunked_vectors import ACCEPTED, END, REFUSED

NEXT = b"GET /next HTTP/1.1\r\n"
"""What follows a body on its connection: never a part of it."""


def feed(pieces: list[bytes], *, decode: bool = False) -> tuple[bytes, bytes, ChunkedBody] | int:
    """Feed a chunked body in pieces: what it passes on, what follows it; a status if refused."""
    body = ChunkedBody(decode=decode)
    passed = rest = b""
    try:
        for piece in pieces:
            if body.done:
                rest += piece
            else:
                more, rest = body.feed(piece)
                passed += more
    except ProtocolError as error:
        return error.status
    return passed, rest, body


def accepted(pieces: list[bytes], *, decode: bool = False) -> tuple[bytes, bytes, ChunkedBody]:
    """Feed a chunked body that is not refused."""
    fed = feed(pieces, decode=decode)
    assert not isinstance(fed, int)
    return fed


def single_bytes(data: bytes) -> list[bytes]:
    """Cut at every byte."""
    return [data[at : at + 1] for at in range(len(data))]


def content_by_h11(framed: bytes) -> bytes:
    """Decode a chunked body as another parser does, which must find it whole."""
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    reader.receive_data(framed)
    content = b""
    reader.next_event()
    while isinstance(event := reader.next_event(), h11.Data):
        content += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert reader.trailing_data[0] == b""
    return content


@pytest.mark.parametrize("name", REFUSED)
def test_a_doubtful_body_is_refused(name: str) -> None:
    """A body that two parsers could end at two places has its status."""
    body, status = REFUSED[name]
    assert feed([body + NEXT]) == status


@pytest.mark.parametrize("name", REFUSED)
def test_a_doubtful_body_is_refused_when_decoded(name: str) -> None:
    """Who takes the content alone gets the same verdict."""
    body, status = REFUSED[name]
    assert feed([body + NEXT], decode=True) == status


@pytest.mark.parametrize("name", [name for name in REFUSED if len(REFUSED[name][0]) < 1000])
def test_no_cut_lets_a_doubtful_body_pass(name: str) -> None:
    """Cut in two anywhere, or at every byte, it is refused with the same status."""
    body, status = REFUSED[name]
    sent = body + NEXT
    cuts = {cut for cut in range(1, len(sent)) if feed([sent[:cut], sent[cut:]]) != status}
    assert (cuts, feed(single_bytes(sent))) == (set(), status)


@pytest.mark.parametrize("name", [name for name in REFUSED if len(REFUSED[name][0]) >= 1000])
def test_no_cut_lets_a_large_doubtful_body_pass(name: str) -> None:
    """What breaks a bound breaks it at every byte as well."""
    body, status = REFUSED[name]
    assert feed(single_bytes(body)) == status


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_body_is_passed_on_whole(name: str) -> None:
    """What goes on, with its end, is for another parser the content that came."""
    body, content = ACCEPTED[name]
    passed, _, reader = accepted([body])
    assert content_by_h11(passed + reader.last_chunk()) == content


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_body_is_decoded(name: str) -> None:
    """With `decode` the content comes out plain."""
    body, content = ACCEPTED[name]
    assert accepted([body], decode=True)[0] == content


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("name", ACCEPTED)
def test_a_cut_changes_nothing(name: str, *, decode: bool) -> None:
    """Cut in two anywhere, or at every byte, the same bytes go on, and the same are left."""
    sent = ACCEPTED[name][0] + NEXT

    def outcome(pieces: list[bytes]) -> tuple[bytes, bytes, bool, list[tuple[bytes, bytes]]]:
        passed, rest, body = accepted(pieces, decode=decode)
        return passed, rest, body.done, body.trailers

    whole = outcome([sent])
    cuts = {cut for cut in range(1, len(sent)) if outcome([sent[:cut], sent[cut:]]) != whole}
    assert (cuts, outcome(single_bytes(sent)), whole[1]) == (set(), whole, NEXT)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_body_that_is_not_whole_has_no_end(name: str) -> None:
    """A stream that ends before the last line end has cut its body off."""
    assert not accepted([ACCEPTED[name][0][:-1]])[2].done


def test_clean_chunks_go_on_as_they_came() -> None:
    """The hot path copies nothing: the slice that came in goes out."""
    data = b"5\r\nhello\r\n6\r\n world\r\n"
    assert ChunkedBody().feed(data)[0] is data


def test_a_chunk_is_passed_on_before_it_is_whole() -> None:
    """An event of a stream does not wait for the rest of its chunk."""
    assert ChunkedBody().feed(b"ff\r\ndata: 1") == (b"ff\r\ndata: 1", b"")


def test_odd_sizes_are_written_anew() -> None:
    """Extensions end here, and noughts before a size."""
    passed, _, body = accepted([b"005;a=b\r\nhello\r\n1\r\nx\r\n0;c\r\n\r\n"])
    assert passed + body.last_chunk() == b"5\r\nhello\r\n1\r\nx\r\n0\r\n\r\n"


def test_a_body_that_is_done_takes_no_more() -> None:
    """Bytes after the end are somebody else's, however they come."""
    body = ChunkedBody()
    body.feed(END)
    assert body.feed(NEXT) == (b"", NEXT)


@pytest.mark.parametrize("cut", range(1, 258))
def test_the_longest_size_line_is_accepted_at_any_cut(cut: int) -> None:
    """A size line of 256 bytes is at the bound, also where it is cut between CR and LF."""
    line = b"1;" + b"a" * 254 + b"\r\n"
    assert accepted([line[:cut], line[cut:] + b"x\r\n" + END])[2].done


@pytest.mark.parametrize("cut", [8185, 8186, 8187, 8188, 8189, 8190, 8191, 8192, 8193])
def test_the_largest_trailer_section_is_accepted_at_any_cut(cut: int) -> None:
    """A section of 8 KiB is at the bound, also where it is cut between CR and LF."""
    section = b"X: " + b"y" * 8187 + b"\r\n\r\n"
    assert accepted([b"0\r\n", section[:cut], section[cut:]])[2].done


def test_trailers_are_kept_apart() -> None:
    """What may be passed on is written after the last chunk, in order."""
    _, _, body = accepted([b"0\r\nGrpc-Status: 0\r\nX-Sum:  a \r\n\r\n"])
    assert body.last_chunk() == b"0\r\ngrpc-status: 0\r\nx-sum: a\r\n\r\n"


@pytest.mark.parametrize(
    "name",
    [
        b"transfer-encoding", b"content-length", b"content_length", b"host", b"trailer", b"te",
        b"connection", b"upgrade", b"cookie", b"set-cookie", b"authorization", b"x-bb-org-id",
        b"x_bb_org_id", b"x-forwarded-for", b"forwarded", b"x-real-ip", b"x-request-id",
        b"cache-control", b"content-encoding", b"proxy-authorization", b"expect", b"ratelimit",
        b"x-quota-decision", b"location", b"www-authenticate", b"content-type", b"range",
        b"x-original-url", b"x-rewrite-url", b"x-http-method-override", b"x.bb.org~id",
        b"transfer.encoding", b"x-api-key", b"true-client-ip", b"any_thing",
    ],
)  # fmt: skip
def test_a_ruling_trailer_is_dropped(name: bytes) -> None:
    """Framing, routing and identity have no place after a body, in any spelling."""
    _, _, body = accepted([b"0\r\n" + name.upper() + b": x\r\n\r\n"])
    assert body.last_chunk() == END


@pytest.mark.parametrize("name", [b"grpc-status", b"x-checksum", b"digest", b"server-timing"])
def test_an_ordinary_trailer_is_safe(name: bytes) -> None:
    """A trailer that rules nothing is passed on."""
    assert is_safe_trailer(name)


def test_a_million_small_chunks_keep_nothing() -> None:
    """Chunks of one byte leave no trace in the reader: its memory is flat."""
    body = ChunkedBody()
    for _ in range(1000):
        body.feed(b"1\r\nx\r\n" * 1000)
    assert (body._partial, body.trailers, body._extensions) == (b"", [], 0)


def test_a_counted_body_ends_at_its_length() -> None:
    """What is over belongs to the next message."""
    body = CountedBody(5)
    assert (body.feed(b"he"), body.feed(b"lloGET"), body.done) == (
        (b"he", b""),
        (b"llo", b"GET"),
        True,
    )


def test_a_counted_body_passes_on_without_a_copy() -> None:
    """The hot path copies nothing."""
    data = b"hello"
    assert CountedBody(5).feed(data)[0] is data


def test_a_counted_body_of_nought_is_done() -> None:
    """It takes no byte at all."""
    body = CountedBody(0)
    assert (body.done, body.feed(NEXT)) == (True, (b"", NEXT))


@pytest.mark.parametrize(("sent", "whole"), [(b"hell", False), (b"hello", True)])
def test_a_counted_body_is_whole_or_cut_off(sent: bytes, *, whole: bool) -> None:
    """A stream that ends before the last byte has cut its body off."""
    body = CountedBody(5)
    body.feed(sent)
    assert body.done is whole


def test_a_body_until_close_ends_with_its_stream() -> None:
    """All bytes are its own, and the end of the stream is its end."""
    body = UntilCloseBody()
    assert (body.feed(NEXT), body.done) == ((NEXT, b""), False)


@pytest.mark.parametrize(
    ("length", "kind"),
    [(0, CountedBody), (7, CountedBody), (CHUNKED, ChunkedBody), (UNTIL_CLOSE, UntilCloseBody)],
)
def test_the_head_chooses_the_reader(length: int, kind: type[BodyFraming]) -> None:
    """Each framing has one reader."""
    assert type(body_of(length)) is kind


ODD = {
    "zeros before the size": b"01\r\nx\r\n",
    "an extension": b"1;a\r\nx\r\n",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("decode", [False, True])
def test_one_feed_looks_at_a_bounded_number_of_chunks(name: str, *, decode: bool) -> None:
    """What is left over is fed again, and the same bytes go on as from one feed."""
    data = ODD[name] * 5000 + END + NEXT
    whole, _, _ = accepted([data], decode=decode)
    body = ChunkedBody(decode=decode, bounded=True)
    passed, rest = b"", data
    while not body.done:
        more, left = body.feed(rest)
        assert 0 < len(rest) - len(left) <= 256 * len(ODD[name]) or body.done
        passed += more
        rest = left
    assert (passed, rest) == (whole, NEXT)


def test_one_feed_passes_over_a_bounded_number_of_known_chunks() -> None:
    """They cost little: sixteen times as many as are looked at one by one, of any widths."""
    for data in (burst([1]) * 40_000, burst([15, 16]) * 20_000):
        passed, rest = ChunkedBody(bounded=True).feed(data)
        assert 4096 <= passed.count(b"\r\n") // 2 <= 4096 + 256
        assert passed + rest == data


def burst(sizes: list[int]) -> bytes:
    """Return chunks of these sizes, each read before."""
    chunks = [b"%x\r\n%b\r\n" % (size, b"x" * size) for size in sizes]
    for chunk in chunks:
        ChunkedBody().feed(chunk)
    return b"".join(chunks)


def test_a_burst_of_known_sizes_goes_on_as_it_came() -> None:
    """Also where their size lines are of different widths."""
    data = burst([290, 255, 256, 15, 16, 4095, 4096, 1, 290])
    assert ChunkedBody().feed(data)[0] is data


@pytest.mark.parametrize("longer", [b"y", b"\r\n", b"y\r\n"])
def test_a_known_size_hides_no_longer_chunk(longer: bytes) -> None:
    """In the middle of a burst it is refused as it is by itself."""
    before, behind = burst([20, 20]), burst([20])
    assert feed([before[:-2] + longer + b"\r\n" + behind]) == 400


def test_a_burst_ends_where_a_chunk_is_not_whole() -> None:
    """Its known part goes on, and what follows is read as the rest of it."""
    data = burst([20, 20, 20])
    for cut in range(len(data) + 1):
        body = ChunkedBody()
        first, second = body.feed(data[:cut])[0], body.feed(data[cut:])[0]
        assert (first + second, body.between_chunks) == (data, True)


def test_a_burst_is_cut_into_its_chunks() -> None:
    """Of any widths; it is not where the end of a chunk, or the size of one, is not known."""
    data = burst([20, 300, 1])
    chunks = known_chunks(data)
    assert (b"".join(chunks), [len(each) for each in chunks]) == (data, [24 + 2, 305 + 2, 4 + 2])
    for odd in (data[:-1], data[2:], data + b"1", data + b"01\r\nx\r\n", data[:-2] + b"yy"):
        assert known_chunks(odd) == []


def test_the_table_of_known_sizes_is_bounded() -> None:
    """A peer that uses a new size in each chunk makes the others be read again, no more."""
    for size in range(1, 10_000):
        ChunkedBody().feed(b"%x\r\n" % size)
    assert len(framing._known) == len(framing._known_next) <= 8192


def test_a_line_that_is_known_by_itself_is_none_behind_a_chunk() -> None:
    """`500` and its CRLF are as wide as a CRLF, `5` and its own."""
    for data in (b"5\r\nhello\r\n", b"500\r\n" + b"a" * 0x500 + b"\r\n"):
        ChunkedBody().feed(data)
    with pytest.raises(ProtocolError):
        ChunkedBody().feed(b"5\r\nhello500\r\n" + b"a" * 0x500 + b"\r\n0\r\n\r\n")
