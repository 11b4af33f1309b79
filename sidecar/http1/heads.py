"""Request and response heads: parsed by llhttp, then held to a stricter reading of RFC 9112.

llhttp accepts more than a proxy may pass on. So the raw block is checked first (line ends, control
bytes, folds, the start line), then llhttp splits it, then names, framing and host are checked here.
Pure: a block goes in, a head or a `ProtocolError` comes out, whatever packets it came in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import httptools

from sidecar.http1.errors import ProtocolError

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""Body lengths that are not a count: `transfer-encoding: chunked`, and the end of the stream."""

Fields = list[tuple[bytes, bytes]]

_TEXT: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_REQUEST_LINE: Final = re.compile(rb"[A-Z][A-Z-]* ([!\"$-~]+) HTTP/1\.[01]\r\n")
_OTHER_VERSION: Final = re.compile(rb"[A-Z][A-Z-]* [!-~]+ HTTP/[02-9]\.[0-9]\r\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [1-9][0-9][0-9](?: [\t -~\x80-\xff]*)?\r\n")
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9._])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#@]*)([/?].*)?")
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_KNOWN_CODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"})
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_CARRIES_REQUESTS: Final = (b"h2", b"h3", b"http", b"tls")
_MAX_LENGTH: Final = 2**63 - 1
_NAME_CACHE_SIZE: Final = 4096

_names: dict[bytes, bytes] = {}


@dataclass(slots=True)
class RequestHead:
    """A request's head as checked. `fields` has lower-case names, in wire order, all of them.

    `target` is origin-form (or `*`), byte for byte as it came; `host` is None only in HTTP/1.0.
    `length` is the body's: a count, or CHUNKED. `upgrade` is set only where an upgrade was asked
    for properly: GET, HTTP/1.1, no body, `Connection: upgrade`, one protocol, and not one in which
    requests would pass unseen (h2c, TLS, HTTP itself).
    """

    method: str
    target: bytes
    minor: int
    fields: Fields
    host: bytes | None
    length: int
    keep_alive: bool
    connection: frozenset[bytes]
    expects_continue: bool
    upgrade: bytes | None


@dataclass(slots=True)
class ResponseHead:
    """A response's head as checked; `length` is a count, CHUNKED or UNTIL_CLOSE."""

    status: int
    reason: bytes
    minor: int
    fields: Fields
    length: int
    keep_alive: bool
    connection: frozenset[bytes]


_NOTHING: Final[frozenset[bytes]] = frozenset()


class _Events:
    """Collects what llhttp finds in one head."""

    __slots__ = ("fields", "reason", "target")

    def __init__(self) -> None:
        self.fields: Fields = []
        self.target = b""
        self.reason = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((_names.get(name) or _lower_name(name), value.strip(b" \t")))


def _lower_name(name: bytes) -> bytes:
    """Return a field's name in lower case, once it is known to be a token (RFC 9110, 5.1)."""
    if not name or name.translate(None, _TOKEN):
        raise ProtocolError("a field name is not a token")
    lower = name.lower()
    if len(_names) < _NAME_CACHE_SIZE and len(name) <= 64:
        _names[name] = lower
    return lower


def find_end(data: bytes, start: int) -> int:
    """Return where the head in `data` ends, or 0 when it is not all there.

    `start` is how much has been searched before. A bare CR or LF is an error at once, so that a
    peer that never sends CRLF is answered and not waited for.
    """
    end = data.find(b"\r\n\r\n", max(0, start - 3))
    if end >= 0:
        return end + 4
    if _BARE_LINE_END.search(data, max(0, start - 1)):
        raise ProtocolError("a line ends in a bare CR or LF")
    return 0


def _check_block(block: bytes) -> None:
    """Refuse what llhttp would let pass or unfold: control bytes, bare CR or LF, folded lines."""
    line_ends = block.translate(None, _TEXT)
    count = block.count(b"\r\n")
    if len(line_ends) != 2 * count or line_ends.count(b"\r") != count:
        raise ProtocolError("a control byte, or a bare CR or LF, stands in the head")
    if b"\n " in block or b"\n\t" in block:
        raise ProtocolError("a field line is folded, or starts with white space")


def parse_request(block: bytes, max_fields: int) -> RequestHead:
    """Parse the head of a request, from its first byte to the empty line (RFC 9112, 2 to 6)."""
    _check_block(block)
    line = _REQUEST_LINE.match(block)
    if line is None:
        if _OTHER_VERSION.match(block):
            raise ProtocolError("only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
        raise ProtocolError("the request line is not `METHOD target HTTP/1.1`")
    events = _Events()
    parser = httptools.HttpRequestParser(events)
    minor = 1 if line.group().endswith(b"1\r\n") else 0
    try:
        _feed(parser, block)
    except ProtocolError:
        _answer_known_coding(block, events.fields, minor)
        raise
    fields = events.fields
    if len(fields) > max_fields:
        raise ProtocolError(f"more than {max_fields} header fields", 431)
    method = parser.get_method().decode("ascii")
    if method in {"CONNECT", "TRACE"}:
        raise ProtocolError(f"{method} is not served", 501)
    return _request_head(method, line.group(1), minor, fields)


def _request_head(method: str, target: bytes, minor: int, fields: Fields) -> RequestHead:
    host: bytes | None = None
    length: int | None = None
    coding: bytes | None = None
    connection = _NOTHING
    expects_continue = False
    upgrade: bytes | None = None
    for name, value in fields:
        if name not in _RULING:
            continue
        if name == b"host":
            if host is not None:
                raise ProtocolError("more than one Host")
            if not _HOST.fullmatch(value):
                raise ProtocolError("Host is not one host name with an optional port")
            host = value
        elif name == b"content-length":
            if length is not None:
                raise ProtocolError("more than one Content-Length")
            length = _content_length(value)
        elif name == b"transfer-encoding":
            if coding is not None:
                raise ProtocolError("more than one Transfer-Encoding")
            coding = value
        elif name == b"connection":
            connection = connection | _tokens(value)
        elif name == b"expect":
            if value.lower() != b"100-continue" or expects_continue:
                raise ProtocolError("the only expectation known here is 100-continue", 417)
            expects_continue = True
        else:
            upgrade = value if upgrade is None else b","  # two lines: more than one protocol
    chunked = coding is not None
    if coding is not None:
        if length is not None:
            raise ProtocolError("Content-Length together with Transfer-Encoding")
        _check_coding(coding, minor)
    if host is None and minor == 1:
        raise ProtocolError("Host is missing")
    if not target.startswith(b"/"):
        target = _origin_form(method, target, host)
    if upgrade is not None and (
        method != "GET"
        or minor == 0
        or chunked
        or length
        or b"upgrade" not in connection
        or upgrade.lower().startswith(_CARRIES_REQUESTS)
        or upgrade.translate(None, _TOKEN + b"/")
        or not upgrade
    ):
        upgrade = None
    keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
    return RequestHead(
        method,
        target,
        minor,
        fields,
        host,
        CHUNKED if chunked else length or 0,
        keep_alive,
        connection,
        expects_continue and minor == 1 and (chunked or bool(length)),
        upgrade,
    )


_RULING: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)


def parse_response(block: bytes, method: str, max_fields: int) -> ResponseHead:
    """Parse the head of a response to `method` (RFC 9112, 4 to 6); what is unclear is an error."""
    _check_block(block)
    line = _STATUS_LINE.match(block)
    if line is None:
        raise ProtocolError("the status line is not `HTTP/1.1 status reason`")
    events = _Events()
    parser = httptools.HttpResponseParser(events)
    _feed(parser, block)
    if len(events.fields) > max_fields:
        raise ProtocolError(f"more than {max_fields} header fields")
    status = parser.get_status_code()
    minor = 1 if block.startswith(b"HTTP/1.1") else 0
    length: int | None = None
    chunked = False
    connection = _NOTHING
    for name, value in events.fields:
        if name == b"content-length":
            if length is not None:
                raise ProtocolError("more than one Content-Length")
            length = _content_length(value)
        elif name == b"transfer-encoding":
            if chunked or minor == 0 or value.lower() != b"chunked":
                raise ProtocolError("Transfer-Encoding is not exactly `chunked`")
            chunked = True
        elif name == b"connection":
            connection = connection | _tokens(value)
    if chunked and length is not None:
        raise ProtocolError("Content-Length together with Transfer-Encoding")
    keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
    if status < 200 and (chunked or length):
        raise ProtocolError("an interim answer has a body")
    if status == 204 and (chunked or length):
        keep_alive = False  # RFC 9112, 6.1 and 6.2: a body that is not one may still follow
    if method == "HEAD" or status < 200 or status in {204, 304}:
        body = 0
    elif chunked:
        body = CHUNKED
    else:
        body = UNTIL_CLOSE if length is None else length
    return ResponseHead(
        status,
        events.reason.strip(b" \t"),
        minor,
        events.fields,
        body,
        keep_alive and body != UNTIL_CLOSE,
        connection,
    )


def _feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, block: bytes) -> None:
    try:
        parser.feed_data(block)
    except httptools.HttpParserUpgrade:
        pass  # the head is complete; whether there will be a tunnel is not llhttp's to say
    except httptools.HttpParserInvalidMethodError as error:
        raise ProtocolError("the method is not known", 501) from error
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, ProtocolError):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise ProtocolError("the head is not HTTP/1.1") from error


def _content_length(value: bytes) -> int:
    if not _LENGTH.fullmatch(value) or (length := int(value)) > _MAX_LENGTH:
        raise ProtocolError("Content-Length is not one whole number")
    return length


def _check_coding(value: bytes, minor: int) -> None:
    if value == b"chunked" and minor == 1:
        return
    codings = {part.strip(b" \t").lower() for part in value.split(b",")}
    if minor == 1 and codings & _KNOWN_CODINGS and codings <= _KNOWN_CODINGS | {b"chunked"}:
        raise ProtocolError("the only transfer coding known here is chunked", 501)
    raise ProtocolError("Transfer-Encoding is not exactly `chunked` on HTTP/1.1")


def _answer_known_coding(block: bytes, fields: Fields, minor: int) -> None:
    """Answer 501 where llhttp, which knows no coding but chunked, has refused a known one.

    `fields` may lack the one at which llhttp stopped, so the block is searched for other framing.
    """
    names = block.lower()
    if names.count(b"\ntransfer-encoding") == 1 and b"\ncontent-length" not in names:
        for name, value in fields:
            if name == b"transfer-encoding":
                _check_coding(value, minor)


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(part.strip(b" \t") for part in value.lower().split(b","))


def _origin_form(method: str, target: bytes, host: bytes | None) -> bytes:
    """Return the path of an absolute-form target: only the configured upstream is contacted."""
    if target == b"*" and method == "OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise ProtocolError("the request target is neither a path nor an absolute http URL")
    authority, path = absolute.groups()
    if not _HOST.fullmatch(authority) or (host is not None and authority.lower() != host.lower()):
        raise ProtocolError("the request target and Host name two hosts")
    if path is None:
        return b"/"
    return path if path.startswith(b"/") else b"/" + path
