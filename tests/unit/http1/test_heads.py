"""Heads of requests: what is refused with which status, and what is read from the others."""

from __future__ import annotations

import pytest

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED, RequestHead, parse_request
from sidecar.http1.lines import find_end
from tests.unit.http1.request_vectors import ACCEPTED, HOST, REFUSED, first, post

FIELDS = 100
TARGETS = {
    b"/": b"/",
    b"/a/b?c=d": b"/a/b?c=d",
    b"//a": b"//a",
    b"/%2e%2E/%zz%": b"/%2e%2E/%zz%",
    b'/"<>[]^`{|}\\': b'/"<>[]^`{|}\\',
    b"/?": b"/?",
    b"/http://b.example/": b"/http://b.example/",
    b"http://a.example/x?y": b"/x?y",
    b"http://a.example": b"/",
    b"http://a.example?y": b"/?y",
    b"HTTP://A.EXAMPLE/x": b"/x",
    b"https://a.example/x": b"/x",
    b"http://a.example//b": b"//b",
    b"http://a.example/?http://b.example/@": b"/?http://b.example/@",
}
"""Request targets, and what of each goes on."""


def read(head: bytes, fields: int = FIELDS) -> RequestHead:
    """Find the end of a head, as a connection does, and parse it."""
    end = find_end(head, 0)
    assert end == len(head), "the head does not end where it should"
    return parse_request(head[:end], fields)


def verdict(pieces: list[bytes]) -> RequestHead | int:
    """Take a head off a stream that comes in these pieces; the status where it is refused."""
    data = b""
    try:
        for piece in pieces:
            searched = len(data)
            data += piece
            end = find_end(data, searched)
            if end:
                return parse_request(data[:end], FIELDS)
    except ProtocolError as error:
        return error.status
    return 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_doubtful_head_is_refused(name: str) -> None:
    """What two parsers could read in two ways gets its status, whatever else the head says."""
    head, status = REFUSED[name]
    assert verdict([head]) == status


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_clean_head_is_accepted(name: str) -> None:
    """Strictness does not go beyond what is doubtful."""
    assert isinstance(verdict([ACCEPTED[name]]), RequestHead)


@pytest.mark.parametrize("name", [*REFUSED, *ACCEPTED])
def test_a_cut_changes_nothing(name: str) -> None:
    """A head in two pieces, cut anywhere, or byte by byte, gets the verdict of the whole."""
    head = REFUSED[name][0] if name in REFUSED else ACCEPTED[name]
    whole = verdict([head])
    cuts = {cut for cut in range(1, len(head)) if verdict([head[:cut], head[cut:]]) != whole}
    assert (cuts, verdict([head[at : at + 1] for at in range(len(head))])) == (set(), whole)


@pytest.mark.parametrize("target", TARGETS)
def test_only_the_path_of_a_target_goes_on(target: bytes) -> None:
    """Path and query stay byte for byte; of the absolute form the authority is left out."""
    assert read(first(b"GET " + target + b" HTTP/1.1")).target == TARGETS[target]


@pytest.mark.parametrize("target", [b"*", b"http://a.example", b"HTTP://A.EXAMPLE:80"])
def test_options_of_a_server_as_a_whole_is_a_star(target: bytes) -> None:
    """The last proxy before it writes `*` for a URL without a path (RFC 9112, 3.2.4)."""
    assert read(first(b"OPTIONS " + target + b" HTTP/1.1")).target == b"*"


@pytest.mark.parametrize(
    ("target", "path"), [(b"http://a.example/", b"/"), (b"http://a.example?x", b"/?x")]
)
def test_options_with_a_path_or_a_query_keeps_it(target: bytes, path: bytes) -> None:
    """Only where a URL has neither does it mean the server as a whole."""
    assert read(first(b"OPTIONS " + target + b" HTTP/1.1")).target == path


@pytest.mark.parametrize("minor", range(2, 10))
def test_a_later_minor_version_is_read_as_1_1(minor: int) -> None:
    """Framing and keep-alive are those of 1.1 (RFC 9110, 2.5)."""
    head = read(post(b"Transfer-Encoding: chunked", version=b"1.%d" % minor))
    assert (head.minor, head.length, head.keep_alive) == (1, CHUNKED, True)


def test_an_absolute_target_may_stand_without_host_on_1_0() -> None:
    """The authority of a 1.0 target is not taken for the host: only the upstream is contacted."""
    head = read(first(b"GET http://b.example/x HTTP/1.0", b""))
    assert (head.target, head.host) == (b"/x", None)


def test_fields_are_read_in_order() -> None:
    """Names come in lower case, values without white space around them, repeated ones apart."""
    head = read(post(b"X-B: 1 ", b"x-a:\t2", b"X-b: 3", b"Empty:", b"Z: \xff"))
    assert head.fields[1:] == [
        (b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"), (b"empty", b""), (b"z", b"\xff"),
    ]  # fmt: skip


def test_the_host_is_read_as_it_came() -> None:
    """The upstream sees the host that the client named."""
    assert read(post(host=b"HOST: A.Example:81\r\n")).host == b"A.Example:81"


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([], 0),
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length: 0007"], 7),
        ([b"Content-Length: 9223372036854775807"], 2**63 - 1),
        ([b"Transfer-Encoding: chunked"], CHUNKED),
        ([b"Transfer-Encoding: ChUnKeD"], CHUNKED),
        ([b"Transfer_Encoding: chunked"], 0),
        ([b"Content_Length: 7"], 0),
    ],
)
def test_the_length_of_the_body_is_read(lines: list[bytes], length: int) -> None:
    """A body is counted, chunked or not there; no other name rules it."""
    assert read(post(*lines)).length == length


@pytest.mark.parametrize(
    ("version", "lines", "kept"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: Close"], False),
        (b"1.1", [b"Connection: keep-alive, close"], False),
        (b"1.1", [b"Connection: x", b"Connection: ,close ,"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.1", [b"Proxy-Connection: close"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
    ],
)
def test_keep_alive_is_read(version: bytes, lines: list[bytes], *, kept: bool) -> None:
    """Each version has its default, and close rules over keep-alive (RFC 9112, 9.3)."""
    assert read(post(*lines, version=version)).keep_alive is kept


def test_connection_options_are_collected() -> None:
    """What Connection names is known in lower case, from all of its lines."""
    head = read(post(b"Connection: X-One , x-two", b"connection: Close"))
    assert head.connection == {b"x-one", b"x-two", b"close"}


@pytest.mark.parametrize(
    ("lines", "version", "expects"),
    [
        ([b"Content-Length: 5"], b"1.1", True),
        ([b"Transfer-Encoding: chunked"], b"1.1", True),
        ([b"Content-Length: 0"], b"1.1", False),
        ([], b"1.1", False),
        ([b"Content-Length: 5"], b"1.0", False),
    ],
)
def test_an_expectation_counts_where_a_body_waits(
    lines: list[bytes], version: bytes, *, expects: bool
) -> None:
    """A 100 is owed only for a body that is to come, and never in 1.0 (RFC 9110, 10.1.1)."""
    assert read(post(b"Expect: 100-continue", *lines, version=version)).expects_continue is expects


def upgrading(*lines: bytes, line: bytes = b"GET /x HTTP/1.1") -> RequestHead:
    """Read a head that asks for an upgrade."""
    return read(first(line, HOST + b"".join(each + b"\r\n" for each in lines)))


def test_an_upgrade_is_read() -> None:
    """One protocol, asked for as RFC 9110, 7.8 wants it."""
    assert upgrading(b"Connection: Upgrade", b"Upgrade: WebSocket").upgrade == b"WebSocket"


@pytest.mark.parametrize("protocol", [b"x/1.0", b"X/1.0"])
def test_an_upgrade_to_what_is_allowed(protocol: bytes) -> None:
    """A name counts with its version, in any case."""
    head = first(b"GET / HTTP/1.1", HOST + b"Connection: upgrade\r\nUpgrade: %b\r\n" % protocol)
    assert parse_request(head, FIELDS, frozenset({b"x/1.0"})).upgrade == protocol
    assert parse_request(head, FIELDS, frozenset({b"x"})).upgrade is None
    assert parse_request(head, FIELDS).upgrade is None


@pytest.mark.parametrize(
    "lines",
    [
        [b"Upgrade: websocket"],
        [b"Connection: upgrade"],
        [b"Connection: close", b"Upgrade: websocket"],
        [b"Connection: upgrade", b"Upgrade:"],
        [b"Connection: upgrade", b"Upgrade: h2c"],
        [b"Connection: upgrade", b"Upgrade: H2C"],
        [b"Connection: upgrade", b"Upgrade: h2"],
        [b"Connection: upgrade", b"Upgrade: HTTP/2.0"],
        [b"Connection: upgrade", b"Upgrade: HTTP/1.1"],
        [b"Connection: upgrade", b"Upgrade: TLS/1.2"],
        [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"],
        [b"Connection: upgrade", b"Upgrade: websocket, h2c"],
        [b"Connection: upgrade", b"Upgrade: h2c, websocket"],
        [b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c"],
        [b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: websocket"],
        [b"Connection: upgrade", b"Upgrade: web socket"],
        [b"Connection: upgrade", b"Upgrade: websocket/13"],
        [b"Connection: upgrade", b"Upgrade: echo"],
        [b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5"],
        [b"Connection: upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked"],
    ],
)
def test_a_doubtful_upgrade_is_none(lines: list[bytes]) -> None:
    """An upgrade with a body, to what carries requests, or asked for by halves is none."""
    assert upgrading(*lines).upgrade is None


@pytest.mark.parametrize("line", [b"POST /x HTTP/1.1", b"GET /x HTTP/1.0", b"HEAD /x HTTP/1.1"])
def test_only_a_get_upgrades(line: bytes) -> None:
    """Other methods, and 1.0, have no upgrade."""
    assert upgrading(b"Connection: upgrade", b"Upgrade: websocket", line=line).upgrade is None


HOPS = b"OPTIONS / HTTP/1.1"


@pytest.mark.parametrize(
    ("hops", "left", "last"),
    [(b"0", b"0", True), (b"1", b"0", False), (b"010", b"9", False), (b"999999999", None, False)],
)
def test_an_options_goes_one_hop_less_far(hops: bytes, left: bytes | None, *, last: bool) -> None:
    """RFC 9110, 7.6.2: a proxy counts, and the last one answers."""
    head = read(first(HOPS, HOST + b"Max-Forwards: %b\r\n" % hops))
    assert (head.last_hop, head.fields[-1]) == (last, (b"max-forwards", left or b"999999998"))


@pytest.mark.parametrize(
    "lines", [b"-1", b"", b"1, 1", b"x", b"+1", b"1.0", b"1" * 10, b"1\r\nMax-Forwards: 1"]
)
def test_a_doubtful_number_of_hops_is_refused(lines: bytes) -> None:
    """Two proxies could count differently."""
    assert verdict([first(HOPS, HOST + b"Max-Forwards: %b\r\n" % lines)]) == 400


@pytest.mark.parametrize("hops", [b"0", b"x"])
def test_other_methods_have_no_hops(hops: bytes) -> None:
    """The field means nothing there, and is passed on."""
    head = read(post(b"Max-Forwards: " + hops))
    assert (head.last_hop, head.fields[-1]) == (False, (b"max-forwards", hops))


def test_the_most_fields_are_accepted() -> None:
    """The bound on fields counts Host, and is itself allowed."""
    assert len(read(post(*[b"X: y"] * 9), fields=10).fields) == 10


def test_one_field_too_many_is_refused() -> None:
    """Too many fields are answered 431 (RFC 6585, 5)."""
    with pytest.raises(ProtocolError) as caught:
        read(post(*[b"X: y"] * 10), fields=10)
    assert caught.value.status == 431


@pytest.mark.parametrize("start", [0, 3, 20])
def test_an_open_head_has_no_end(start: int) -> None:
    """Until its empty line has come, a head has no end, wherever the search began."""
    assert find_end(b"GET / HTTP/1.1\r\nHost: a\r\n", start) == 0


def test_the_end_of_the_first_head_is_found() -> None:
    """What follows a head is not searched."""
    assert find_end(b"GET / HTTP/1.1\r\n\r\n\n\r\r\n\r\n", 0) == 18


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: a", b"GET /\rX", b"\n", b"GET\n\n"])
def test_a_bare_line_end_is_answered_at_once(data: bytes) -> None:
    """A peer that never sends CRLF is refused, and not waited for."""
    with pytest.raises(ProtocolError):
        find_end(data, 0)


def test_a_last_cr_may_still_become_a_line_end() -> None:
    """A CR at the end of what has come so far is no error yet."""
    assert find_end(b"GET / HTTP/1.1\r", 0) == 0
