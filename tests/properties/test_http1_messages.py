"""Whole messages, head and body, both ways: where we read one as whole, h11 reads the same one.

Where the two differ, we refuse and h11 accepts; the one exception is told where it is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.http1.errors import ProtocolError
from sidecar.http1.framing import body_of
from sidecar.http1.heads import parse_request
from sidecar.http1.lines import find_end
from tests.properties.examples import examples
from tests.properties.http_messages import ANSWER_HEADS, CHUNKED_BODIES, REQUEST_HEADS, mutated
from tests.properties.test_http1_framing import h11_is_stricter
from tests.unit.http1.answer_vectors import Answer
from tests.unit.http1.line import outcome

NEXT = b"GET /next HTTP/1.1\r\n\r\n"
_BODIES = st.one_of(CHUNKED_BODIES, st.just(b"hello"), st.binary(max_size=12), st.just(b""))
_FRAMINGS = (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n")
_REQUESTS = st.one_of(
    REQUEST_HEADS,
    mutated(st.sampled_from([b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n" % f for f in _FRAMINGS])),
)
_ANSWERS = st.one_of(
    ANSWER_HEADS, mutated(st.sampled_from([b"HTTP/1.1 200 OK\r\n%b\r\n" % f for f in _FRAMINGS]))
)
_SWITCHED = 101


@dataclass(frozen=True)
class Message:
    """One whole message: what it was, its content, and the bytes that are not its own."""

    start: bytes
    content: bytes
    rest: bytes


def our_request(data: bytes) -> Message | None:
    """Read a whole request; None where it is refused, or not all there."""
    try:
        end = find_end(data, 0)
        if not end:
            return None
        head = parse_request(data[:end], 100)
        body = body_of(head.length, decode=True)
        content, rest = (b"", data[end:]) if body.done else body.feed(data[end:])
    except ProtocolError:
        return None
    return Message(head.method.encode(), content, rest) if body.done else None


def read_by_h11(connection: h11.Connection) -> Message | None:
    """Read one final message with h11; None where it refuses it, or waits for more."""
    start = content = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        match event:
            case h11.Request():
                start = event.method
            case h11.Response():
                start = b"%d" % event.status_code
            case h11.InformationalResponse():
                pass
            case h11.Data():
                content += bytes(event.data)
            case h11.EndOfMessage():
                return Message(start, content, connection.trailing_data[0])
            case _:
                return None


def their_request(data: bytes) -> Message | None:
    """Read a whole request with h11."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    return read_by_h11(connection)


def their_answer(data: bytes, method: str, *, closes: bool) -> Message | None:
    """Read a whole answer with h11."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    if closes:
        connection.receive_data(b"")
    return read_by_h11(connection)


@settings(max_examples=examples(800))
@given(_REQUESTS, _BODIES)
def test_a_request_that_we_read_h11_reads_alike(head: bytes, body: bytes) -> None:
    """Method, content and where the next request begins."""
    data = head + body + NEXT
    ours = our_request(data)
    if ours is None:
        return
    theirs = their_request(data)
    if theirs is None:
        assert h11_is_stricter(data[find_end(data, 0) :])
    else:
        assert theirs == ours


@settings(max_examples=examples(800))
@given(_ANSWERS, _BODIES, st.sampled_from(["GET", "HEAD", "POST"]), st.booleans())
def test_an_answer_that_we_read_h11_reads_alike(
    head: bytes,
    body: bytes,
    method: str,
    closes: bool,  # noqa: FBT001 - Hypothesis gives it
) -> None:
    """Status and content; and what is left over keeps no connection of ours."""
    data = head + body
    ours = outcome(Answer(b"", method=method, closes=closes), [data], decode=True)
    if not ours.whole or ours.status == _SWITCHED:  # h11 reads no 101 that was not asked for
        return
    theirs = their_answer(data, method, closes=closes)
    if theirs is None:
        assert h11_is_stricter(data[find_end(data, 0) :])
        return
    assert (theirs.start, theirs.content) == (b"%d" % ours.status, ours.content)
    assert not (theirs.rest and ours.kept)
