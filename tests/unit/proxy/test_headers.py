"""Heads written anew."""

from __future__ import annotations

from dataclasses import replace

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, RequestHead, parse_request
from sidecar.http1.response_heads import parse_response
from sidecar.proxy import headers
from sidecar.proxy.headers import (
    extended_lines,
    identity_lines,
    own_lines,
    request_head,
    response_head,
)
from tests.fakes.engines import ACME

NOBODY = b""


def parsed(*fields: bytes, method: bytes = b"GET") -> RequestHead:
    """Parse a head of these field lines."""
    return parse_request(
        b"\r\n".join((method + b" /x HTTP/1.1", b"Host: a", *fields, b"", b"")), 100
    )


def rewritten(head: RequestHead, *, expect: bool = False) -> bytes:
    """Write a head for the upstream, with no identity and no forwarded lines."""
    return request_head(
        head, host=b"a", forwarded=b"", identity=None, request_id=b"id", expect=expect
    )


def test_a_head_is_the_line_the_fields_and_ours() -> None:
    """The order: request line, Host, the client's fields, framing, ours."""
    assert rewritten(parsed(b"X-A: 1", b"Content-Length: 3", b"Accept: */*")) == (
        b"GET /x HTTP/1.1\r\nhost: a\r\nx-a: 1\r\naccept: */*\r\ncontent-length: 3\r\n"
        b"x-request-id: id\r\n\r\n"
    )


def test_framing_is_written_from_what_was_parsed() -> None:
    """The line of the client is dropped, and ours says the same."""
    head = parsed(b"Transfer-Encoding: chunked", method=b"POST")
    assert head.length == CHUNKED
    assert rewritten(head).count(b"transfer-encoding: chunked\r\n") == 1


@pytest.mark.parametrize(("fields", "count"), [((), 0), ((b"Content-Length: 0",), 1)])
def test_a_length_of_nought_stays_what_it_was(fields: tuple[bytes, ...], count: int) -> None:
    """A POST without a body keeps its length, a GET gets none."""
    assert rewritten(parsed(*fields)).count(b"content-length") == count


def test_the_expectation_is_passed_only_when_asked_for() -> None:
    """Expect is not a field that is passed on by itself."""
    head = parsed(b"Expect: 100-continue", b"Content-Length: 3")
    assert b"expect" not in rewritten(head)
    assert b"expect: 100-continue\r\n" in rewritten(head, expect=True)


def test_an_upgrade_is_asked_for_in_our_words() -> None:
    """Connection and Upgrade are written anew, and name nothing else."""
    written = rewritten(parsed(b"Connection: x-y, upgrade", b"Upgrade: websocket", b"X-Y: z"))
    assert b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n" in written
    assert b"x-y" not in written


def test_empty_identity_texts_are_left_out() -> None:
    """A caller without a plan has no plan field, rather than an empty one."""
    lines = identity_lines("org_acme", "user_1", "", "")
    assert lines == b"\r\nx-bb-org-id: org_acme\r\nx-bb-user-id: user_1"


def test_an_identity_that_no_field_can_carry_is_a_fault() -> None:
    """Such a text is refused with the token; should one come this far, nothing is sent."""
    with pytest.raises(UnicodeEncodeError):
        identity_lines("org_acme", "\u20ac", "", "")


def test_what_is_remembered_is_bounded() -> None:
    """A client cannot fill the memory with names or callers of its own making."""
    for number in range(5_000):
        rewritten(replace(parsed(), fields=[(b"x-%d" % number, b"y" * 2000)]))
        identity_lines("org_acme", f"user_{number}", "", "")
    assert len(headers._for_upstream) <= headers._REMEMBERED / 4000
    assert identity_lines.cache_info().currsize <= 4096


def test_an_ipv6_peer_is_quoted_in_forwarded() -> None:
    """RFC 7239, 6: brackets and quotes around it; X-Forwarded-For has it plain."""
    lines = extended_lines([(b"forwarded", b"for=x")], b"::1", b"a")
    assert b'forwarded: for=x, for="[::1]"\r\nx-forwarded-for: ::1\r\n' in lines


def test_a_trusted_peer_that_says_nothing_is_a_first_hop() -> None:
    """Without words of its own there are those that the sidecar saw."""
    assert extended_lines([], b"1.2.3.4", b"a:1") == (
        b"x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: http\r\nx-forwarded-host: a:1\r\n"
    )


def test_ours_come_after_the_upstreams_fields() -> None:
    """An answer is the line, the upstream's fields, and ours."""
    head = parse_response(b"HTTP/1.1 200 Fine\r\nX-A: 1\r\n\r\n", "GET", 100)
    added = b"X-Request-ID: id\r\nconnection: close\r\n"
    assert response_head(head, added, tells_quota=False) == (
        b"HTTP/1.1 200 Fine\r\nx-a: 1\r\nX-Request-ID: id\r\nconnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(("tells_quota", "told"), [(True, 1), (False, 2)])
def test_of_two_quotas_the_client_is_told_ours(tells_quota: bool, told: int) -> None:  # noqa: FBT001
    """The product's own RateLimit fields pass, unless ours take their place."""
    raw = b"HTTP/1.1 200 OK\r\nRateLimit: theirs\r\nX-A: 1\r\n\r\n"
    written = response_head(
        parse_response(raw, "GET", 100),
        b"RateLimit: ours\r\n",
        tells_quota=tells_quota,
    )
    assert written.lower().count(b"ratelimit:") == told
    assert b"RateLimit: ours\r\n" in written


TOKENS = st.from_regex(rb"[A-Za-z0-9_.!#$%&'*+^`|~-]{1,20}", fullmatch=True)
VALUES = st.from_regex(rb"[\t -~\x80-\xff]{0,30}", fullmatch=True)


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=8))
def test_an_independent_parser_reads_what_was_written(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever passes our parser comes out as one request in h11's eyes, ours in it once."""
    try:
        head = parsed(*(b"%b: %b" % field for field in fields))
    except ProtocolError:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(
        request_head(
            head,
            host=b"a",
            forwarded=own_lines[b"1.2.3.4", b"a"],
            identity=ACME,
            request_id=b"id",
            expect=False,
        )
    )
    request = server.next_event()
    assert isinstance(request, h11.Request)
    names = [bytes(name) for name, _ in request.headers]
    for ours in (b"host", b"x-request-id", b"x-forwarded-for", b"x-bb-org-id"):
        assert names.count(ours) == 1
    assert len([name for name in names if name.replace(b"_", b"-").startswith(b"x-bb-")]) == 4


@given(st.lists(st.tuples(TOKENS.map(bytes.lower), VALUES), max_size=8))
def test_a_client_reads_what_was_written(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever head of an answer passes our parser comes out as one head in h11's eyes."""
    raw = b"".join(b"%b: %b\r\n" % field for field in fields)
    try:
        head = parse_response(b"HTTP/1.1 200 OK\r\n" + raw + b"\r\n", "GET", 100)
    except ProtocolError:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    framing = b"transfer-encoding: chunked\r\n" if head.length < 0 else b""
    client.receive_data(response_head(head, b"X-Request-ID: id\r\n" + framing, tells_quota=False))
    answer = client.next_event()
    assert isinstance(answer, h11.Response)
    assert [bytes(value) for name, value in answer.headers if name == b"x-request-id"] == [b"id"]
