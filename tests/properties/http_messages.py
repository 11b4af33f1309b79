"""Strategies for HTTP messages as bytes: good ones, doubtful ones, and good ones gone wrong."""

from __future__ import annotations

from hypothesis import strategies as st

_ODD: tuple[bytes, ...] = (
    b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r\n", b"\x00", b"\x0b", b"\x0c", b"\x01", b"\x7f", b"\x80",
    b"\xa0", b"\xff", b" ", b"\t", b":", b";", b",", b"=", b'"', b"0", b"5", b"x", b"a", b"+", b"-",
    b"_", b"#", b"\\", b"\r\n\r\n", b"\r\n ", b"\r\n0\r\n", b"chunked", b"0\r\n\r\n", b"HTTP/1.1",
)  # fmt: skip

_LINE_ENDS = st.sampled_from(
    [b"\r\n"] * 80 + [b"\n", b"\r", b"\n\r", b"\r\r\n", b" \r\n", b"\r\n "]
)

_TARGETS = st.one_of(
    st.sampled_from(
        [b"/"] * 8
        + [b"/", b"/a/b?c=d", b"//a", b"/%2e%2e/", b"*", b"http://a/x", b"http://b/x", b"https://a",
         b"a:80", b"/a#b", b"/a b", b"/\x7f", b"/\xc3\xa9", b"x", b"", b"http://a@b/", b"/\\"]
    ),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12).map(
        lambda tail: b"/" + tail.encode()
    ),
)  # fmt: skip
_METHODS = st.sampled_from(
    [b"GET"] * 12 + [b"POST"] * 12
    + [b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"CONNECT", b"TRACE", b"get", b"FOO",
       b"G ET", b"", b"GET\x00", b"M-SEARCH", b"PRI"]
)  # fmt: skip
_VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 30 + [b"HTTP/1.0"] * 8 + [b"HTTP/1.3"]
    + [b"HTTP/1.2", b"HTTP/0.9", b"HTTP/2.0", b"http/1.1", b"HTTP/1.10", b"HTTP/1", b""]
)  # fmt: skip
_GAPS = st.sampled_from([b" "] * 60 + [b"  ", b"\t", b"", b"\x0b"])

_NAMES = st.one_of(
    st.sampled_from(
        [b"Host"] * 3 + [b"Content-Length"] * 4 + [b"Transfer-Encoding"] * 4
        + [b"Connection", b"Upgrade", b"Expect", b"Cookie", b"X-A", b"x_b", b"TE", b"Trailer",
           b"content-length", b"TRANSFER-ENCODING", b"Transfer_Encoding", b"Content_Length",
           b"hOST", b"Keep-Alive", b"", b"X Y", b"X\x00", b"\xe9"]
    ),
    st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=8).map(str.encode),
    st.binary(max_size=6),
)  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from(
        [b"a", b"a", b"a", b"5", b"5", b"0", b"chunked", b"Chunked", b"gzip", b"gzip, chunked",
         b"Chunked", b"identity", b"", b"close", b"keep-alive", b"upgrade", b"websocket", b"h2c",
         b"100-continue", b"+5", b"-1", b"0x5", b"5, 5", b"05", b"a, b", b"a:80", b"[::1]", b"a/b",
         b"9223372036854775807", b"9223372036854775808", b"99999999999999999999"]
    ),
    st.binary(max_size=10),
)  # fmt: skip
_COLONS = st.sampled_from([b": "] * 20 + [b":"] * 4 + [b" : ", b"\t:", b"", b" ", b":\t", b"::"])

_FIELD_LINES = st.builds(
    lambda name, colon, value, end: name + colon + value + end, _NAMES, _COLONS, _VALUES, _LINE_ENDS
)
_GOOD_LINES = st.sampled_from(
    [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
     b"X: y\r\n", b"X: y\r\n", b"Cookie: bb_at=a; b=c\r\n", b"Empty:\r\n", b"X:  \t y \t \r\n",
     b"Expect: 100-continue\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"]
)  # fmt: skip
_FIELDS = st.lists(st.one_of(*[_GOOD_LINES] * 6, _FIELD_LINES), max_size=4).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Draw a message and change a few of its bytes, or none."""
    data = draw(messages)
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3]))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["insert", "replace", "delete", "repeat"])):
            case "insert":
                data = data[:at] + draw(st.sampled_from(_ODD)) + data[at:]
            case "replace":
                data = data[:at] + draw(st.sampled_from(_ODD)) + data[at + 1 :]
            case "delete":
                data = data[:at] + data[at + draw(st.integers(1, 4)) :]
            case _:
                size = draw(st.integers(1, 30))
                data = data[: at + size] + data[at:]
    return data


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    line = [draw(_METHODS), draw(_GAPS), draw(_TARGETS), draw(_GAPS), draw(_VERSIONS)]
    host = draw(st.sampled_from([b"Host: a\r\n"] * 12 + [b"", b"Host: a\r\nHost: a\r\n"]))
    return b"".join(line) + draw(_LINE_ENDS) + host + draw(_FIELDS) + b"\r\n"


_STATUSES = st.sampled_from(
    [b"200 OK"] * 8
    + [b"204 No Content", b"304 Not Modified", b"404 X", b"500 X", b"200", b"200 ", b"100 Continue",
       b"103 Early Hints", b"101 Switching Protocols", b"600 X", b"999 X", b"099 X", b"20 X",
       b"2000 X", b"2x0 X", b"200 \xe9", b"200 a\x01b", b"200\tOK", b" 200 OK"]
)  # fmt: skip


@st.composite
def _answers(draw: st.DrawFn) -> bytes:
    line = [draw(_VERSIONS), draw(_GAPS), draw(_STATUSES)]
    return b"".join(line) + draw(_LINE_ENDS) + draw(_FIELDS) + b"\r\n"


_SIZE_FORMS = st.sampled_from(
    [b"%x"] * 12 + [b"%X"] * 4
    + [b"0%x", b"000%x", b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x\t", b"%xg", b"%x_", b"",
       b"00000000000000000000%x", b"%x;a", b"%x;a=b", b'%x;a="b c"', b"%x;", b"%x ;a", b"%x;a=b;c",
       b'%x\t; a = "b;c\\""', b'%x;a="b', b'%x;a="\\"']
)  # fmt: skip
_TRAILERS = st.one_of(st.just(b""), st.just(b""), st.just(b""), st.just(b"X: y\r\n"), _FIELDS)


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    parts: list[bytes] = []
    for content in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)):
        off = draw(st.sampled_from([0] * 20 + [1, -1]))
        form = draw(_SIZE_FORMS)
        size = form % (len(content) + off) if b"%" in form else form
        parts += [size, draw(_LINE_ENDS), content, draw(_LINE_ENDS)]
    last = draw(st.sampled_from([b"0"] * 20 + [b"00", b"0;a", b"", b"0 ", b"-0", b"0x0"]))
    parts += [last, draw(_LINE_ENDS), draw(_TRAILERS), draw(_LINE_ENDS)]
    return b"".join(parts)


REQUEST_HEADS = mutated(_requests())
"""Heads of requests: some clean, some with doubtful parts, some with bytes changed."""

ANSWER_HEADS = mutated(_answers())
"""The same for answers."""

CHUNKED_BODIES = mutated(_chunked())
"""The same for chunked bodies."""


@st.composite
def pieces(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> list[bytes]:
    """Draw a message, cut at a few places or at every byte."""
    data = draw(messages)
    if draw(st.booleans()):
        cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)))
    else:
        cuts = list(range(len(data)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
