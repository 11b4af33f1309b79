"""Heads of answers: what is refused, and what is read from the others."""

from __future__ import annotations

import pytest

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE
from sidecar.http1.lines import find_end
from sidecar.http1.response_heads import ResponseHead, parse_response
from tests.unit.http1.response_vectors import ACCEPTED, REFUSED, answer


def read(head: bytes, method: str = "GET") -> ResponseHead:
    """Parse the head of an answer."""
    return parse_response(head, method, 100)


def verdict(pieces: list[bytes]) -> ResponseHead | None:
    """Take the head of an answer off a stream that comes in these pieces; None if refused."""
    data = b""
    try:
        for piece in pieces:
            searched = len(data)
            data += piece
            end = find_end(data, searched)
            if end:
                return read(data[:end])
    except ProtocolError:
        return None
    raise AssertionError(f"the head has no end: {data!r}")


@pytest.mark.parametrize("name", REFUSED)
def test_a_doubtful_head_is_refused(name: str) -> None:
    """What a client could read in another way is not passed on."""
    assert verdict([REFUSED[name]]) is None


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_clean_head_is_accepted(name: str) -> None:
    """Strictness does not go beyond what is doubtful."""
    assert verdict([ACCEPTED[name]]) is not None


@pytest.mark.parametrize("name", [*REFUSED, *ACCEPTED])
def test_a_cut_changes_nothing(name: str) -> None:
    """A head in two pieces, cut anywhere, or byte by byte, gets the verdict of the whole."""
    head = REFUSED[name] if name in REFUSED else ACCEPTED[name]
    whole = verdict([head])
    cuts = {cut for cut in range(1, len(head)) if verdict([head[:cut], head[cut:]]) != whole}
    assert (cuts, verdict([head[at : at + 1] for at in range(len(head))])) == (set(), whole)


@pytest.mark.parametrize(
    ("method", "status", "lines", "length"),
    [
        ("GET", b"200 OK", [b"Content-Length: 5"], 5),
        ("GET", b"200 OK", [b"Content-Length: 0"], 0),
        ("GET", b"200 OK", [b"Transfer-Encoding: chunked"], CHUNKED),
        ("GET", b"200 OK", [], UNTIL_CLOSE),
        ("GET", b"500 X", [], UNTIL_CLOSE),
        ("HEAD", b"200 OK", [b"Content-Length: 5"], 0),
        ("HEAD", b"200 OK", [b"Transfer-Encoding: chunked"], 0),
        ("HEAD", b"200 OK", [], 0),
        ("GET", b"204 No Content", [], 0),
        ("GET", b"204 No Content", [b"Content-Length: 5"], 0),
        ("GET", b"204 No Content", [b"Transfer-Encoding: chunked"], 0),
        ("GET", b"304 Not Modified", [b"Content-Length: 5"], 0),
        ("GET", b"304 Not Modified", [b"Transfer-Encoding: chunked"], 0),
        ("GET", b"103 Early Hints", [], 0),
        ("GET", b"205 Reset Content", [b"Content-Length: 0"], 0),
    ],
)
def test_the_length_of_the_body_is_read(
    method: str, status: bytes, lines: list[bytes], length: int
) -> None:
    """Method and status rule over the framing fields (RFC 9112, 6.3)."""
    assert read(answer(*lines, status=status), method).length == length


@pytest.mark.parametrize(
    ("version", "lines", "kept"),
    [
        (b"1.1", [b"Content-Length: 0"], True),
        (b"1.1", [b"Content-Length: 0", b"Connection: close"], False),
        (b"1.1", [b"Content-Length: 0", b"Connection: x", b"Connection: Close"], False),
        (b"1.1", [], False),
        (b"1.0", [b"Content-Length: 0"], False),
        (b"1.0", [b"Content-Length: 0", b"Connection: keep-alive"], True),
        (b"1.0", [b"Connection: keep-alive"], False),
    ],
)
def test_keep_alive_is_read(version: bytes, lines: list[bytes], *, kept: bool) -> None:
    """A connection lives on where its server says so and the answer has an end of its own."""
    assert read(answer(*lines, version=version)).keep_alive is kept


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_204_that_promises_a_body_ends_its_connection(line: bytes) -> None:
    """The bytes of that body may come late, when they would be read as the next answer."""
    assert not read(answer(line, status=b"204 No Content")).keep_alive


def test_fields_are_read_in_order() -> None:
    """Names come in lower case, and a cookie is not joined with another."""
    head = read(answer(b"Set-Cookie: a=1", b"X: ", b"set-cookie: b=2"))
    assert head.fields == [(b"set-cookie", b"a=1"), (b"x", b""), (b"set-cookie", b"b=2")]


@pytest.mark.parametrize(
    ("status", "read_as"),
    [
        (b"200 OK", (200, b"OK")),
        (b"200", (200, b"")),
        (b"200 ", (200, b"")),
        (b"404 Not  Found ", (404, b"Not  Found")),
        (b"999 \xe9", (999, b"\xe9")),
    ],
)
def test_status_and_reason_are_read(status: bytes, read_as: tuple[int, bytes]) -> None:
    """The reason goes on as it came, but for the white space around it."""
    head = read(answer(status=status))
    assert (head.status, head.reason) == read_as
