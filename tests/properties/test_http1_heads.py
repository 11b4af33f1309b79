"""No head is read in another way than an independent strict parser (h11) reads it."""

from __future__ import annotations

import contextlib
from unittest import mock

import h11
import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.http1 import heads, response_heads
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, RequestHead, parse_request
from sidecar.http1.lines import find_end, memory_of_lines, memory_of_starts
from sidecar.http1.response_heads import ResponseHead, parse_response
from tests.properties.examples import examples
from tests.properties.http_messages import ANSWER_HEADS, REQUEST_HEADS, pieces

FIELDS = 100


def our_request(parts: list[bytes]) -> RequestHead | None:
    """Read a head that comes in parts; None where it is refused, or not whole."""
    data = b""
    try:
        for part in parts:
            searched = len(data)
            data += part
            if end := find_end(data, searched):
                return parse_request(data[:end], FIELDS)
    except ProtocolError:
        pass
    return None


def refusal(data: bytes) -> ProtocolError | None:
    """Return the error of a head that is refused."""
    try:
        parse_request(data, FIELDS)
    except ProtocolError as error:
        return error
    return None


def our_answer(parts: list[bytes], method: str) -> ResponseHead | None:
    """The same for the head of an answer."""
    data = b""
    try:
        for part in parts:
            searched = len(data)
            data += part
            if end := find_end(data, searched):
                return parse_response(data[:end], method, FIELDS)
    except ProtocolError:
        pass
    return None


def their_request(data: bytes) -> h11.Request | None:
    """Read a head with h11."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


def their_answer(data: bytes, method: str) -> h11.Response | h11.InformationalResponse | None:
    """Read the head of an answer with h11.

    The request asks for an upgrade, as h11 refuses a 101 to any other; here the relay does.
    """
    connection = h11.Connection(h11.CLIENT)
    fields = [("host", "a"), ("connection", "upgrade"), ("upgrade", "websocket")]
    connection.send(h11.Request(method=method, target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Response | h11.InformationalResponse) else None


def unframed(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Leave out what h11 writes anew."""
    ruling = {b"content-length", b"transfer-encoding"}
    return [field for field in fields if field[0] not in ruling]


@settings(max_examples=examples(500))
@given(REQUEST_HEADS)
def test_what_we_accept_h11_reads_alike(data: bytes) -> None:
    """Where the two differ over a head, we are the one that refuses."""
    head = our_request([data])
    if head is None:
        return
    theirs = their_request(data)
    assert theirs is not None
    assert theirs.method.decode() == head.method
    assert min(theirs.http_version, b"1.1") == b"1.%d" % head.minor  # a later minor is read as 1
    if theirs.target.startswith(b"/"):
        assert theirs.target == head.target
    named = [(bytes(name), bytes(value)) for name, value in theirs.headers]
    if head.upgrade is None:  # what the product never gets decides nothing: it is not a field
        named = [(name, value) for name, value in named if name != b"upgrade"]
    assert unframed(named) == unframed(head.fields)
    framing = dict(named)
    if head.length == CHUNKED:
        assert framing[b"transfer-encoding"] == b"chunked"
    else:
        assert b"transfer-encoding" not in framing
        assert int(framing.get(b"content-length", b"0")) == head.length


@settings(max_examples=examples(500))
@given(ANSWER_HEADS, st.sampled_from(["GET", "HEAD", "POST"]))
def test_the_answers_we_accept_h11_reads_alike(data: bytes, method: str) -> None:
    """The same for answers."""
    head = our_answer([data], method)
    if head is None:
        return
    theirs = their_answer(data, method)
    assert theirs is not None
    assert (theirs.status_code, bytes(theirs.reason).strip()) == (head.status, head.reason)
    assert theirs.http_version == b"1.%d" % head.minor
    named = [(bytes(name), bytes(value)) for name, value in theirs.headers]
    assert unframed(named) == unframed(head.fields)
    framing = dict(named)
    if head.length == CHUNKED:
        assert framing[b"transfer-encoding"] == b"chunked"
    elif head.length > 0:
        assert int(framing[b"content-length"]) == head.length


@settings(max_examples=examples(300))
@given(pieces(REQUEST_HEADS))
def test_no_cut_of_a_request_changes_its_verdict(parts: list[bytes]) -> None:
    """Refused whole, refused in pieces; read whole, read alike in pieces."""
    assert our_request(parts) == our_request([b"".join(parts)])


@settings(max_examples=examples(300))
@given(pieces(ANSWER_HEADS))
def test_no_cut_of_an_answer_changes_its_verdict(parts: list[bytes]) -> None:
    """The same for answers."""
    assert our_answer(parts, "GET") == our_answer([b"".join(parts)], "GET")


@settings(max_examples=examples(300))
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a `ProtocolError` comes out of a parser, whatever goes in."""
    our_request([data + b"\r\n\r\n"])
    our_answer([data + b"\r\n\r\n"], "GET")


@settings(max_examples=examples(300))
@given(REQUEST_HEADS)
def test_a_refusal_has_a_status_and_a_reason(data: bytes) -> None:
    """A client can be answered, and told what was wrong in a line of text."""
    error = refusal(data)
    assert error is None or error.status in {400, 417, 431, 501, 505}
    assert error is None or error.detail.isprintable()


@settings(max_examples=examples(300))
@given(REQUEST_HEADS)
def test_nothing_that_could_split_a_head_is_read(data: bytes) -> None:
    """No byte that ends a line, or a field, is in anything that will be written again."""
    head = our_request([data])
    if head is None:
        return
    assert not set(head.target) & set(range(0x21)) | set(head.target) & {0x7F}
    for name, value in head.fields:
        assert name == name.lower()
        assert name
        assert not set(name) & set(b"\r\n\x00: \t")
        assert not set(value) & set(b"\r\n\x00")
        assert value == value.strip(b" \t")


def request_of(data: bytes) -> RequestHead | int:
    """Read a head; the status where it is refused."""
    try:
        return parse_request(data[: find_end(data, 0)], 1000)
    except ProtocolError as error:
        return error.status


def answer_of(data: bytes) -> ResponseHead | int:
    """The same for the head of an answer."""
    try:
        return parse_response(data[: find_end(data, 0)], "GET", 1000)
    except ProtocolError as error:
        return error.status


@example(b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n")
@given(REQUEST_HEADS)
def test_memory_changes_no_request(data: bytes) -> None:
    """What was read before makes no head mean something else, be it refused or not."""
    known = request_of(data)
    with (
        mock.patch.object(heads, "_starts", memory_of_starts(heads._read_start)),
        mock.patch.object(heads, "_lines", memory_of_lines(heads._rules)),
    ):
        assert request_of(data) == known


@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n")
@given(ANSWER_HEADS)
def test_memory_changes_no_answer(data: bytes) -> None:
    """The same for what servers send."""
    known = answer_of(data)
    with (
        mock.patch.object(response_heads, "_starts", memory_of_starts(response_heads._read_start)),
        mock.patch.object(response_heads, "_lines", memory_of_lines(response_heads._rules)),
    ):
        assert answer_of(data) == known


def their_llhttp(data: bytes) -> list[tuple[bytes, bytes]] | None:
    """Read the fields of a head with llhttp; None where it refuses it."""
    fields: list[tuple[bytes, bytes]] = []

    class Events:
        def on_header(self, name: bytes, value: bytes) -> None:
            fields.append((name.lower(), value.strip(b" \t")))

    with contextlib.suppress(httptools.HttpParserUpgrade):
        try:
            httptools.HttpRequestParser(Events()).feed_data(data)
        except httptools.HttpParserError:
            return None
    return fields


@settings(max_examples=examples(500))
@given(REQUEST_HEADS)
def test_what_we_accept_llhttp_reads_alike(data: bytes) -> None:
    """The parser of Node and of much else is given no head that it reads in another way."""
    head = our_request([data])
    if head is None:
        return
    line, _, lines = data[: find_end(data, 0)].partition(b"\r\n")
    fields = their_llhttp(line[:-1] + b"%d\r\n" % head.minor + lines)  # no later minor version
    assert fields is not None
    if head.upgrade is None:
        fields = [field for field in fields if field[0] != b"upgrade"]
    if head.method != "OPTIONS":  # else a hop was counted down
        assert fields == head.fields
