"""Request heads: each line by its grammar (lines.py), and what rules between lines here.

A block goes in, a head or a `ProtocolError` comes out, whatever packets it came in. What two
parsers could read in two ways is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sidecar.http1.errors import ProtocolError
from sidecar.http1.lines import Field, field_of, memory_of_lines, memory_of_starts, ruling_of
from sidecar.http1.memory import Memory
from sidecar.http1.targets import HOST, origin_form

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""Body lengths that are not a count: `transfer-encoding: chunked`, and the end of the stream."""

HeadFields = list[Field]

FOLDED: Final = bytes.maketrans(b"!#$%&'*+.^_`|~", b"-" * 14)
"""Folds a name as the most careless product would: behind CGI and its heirs all punctuation is one
sign, so that `x.bb_org~id` arrives there as `X-BB-Org-Id`."""

_REQUEST_LINE: Final = re.compile(rb"([A-Z][A-Z-]*) ([!\"$-~]+) HTTP/1\.([0-9])")
_OTHER_VERSION: Final = re.compile(rb"[A-Z][A-Z-]* [!-~]+ HTTP/[02-9]\.[0-9]")
_METHODS: Final = frozenset(
    {
        "ACL", "BIND", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "M-SEARCH",
        "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST",
        "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "SOURCE",
        "SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
    }
)  # fmt: skip
"""The methods that are served: not CONNECT and TRACE, nor what HTTP/2 alone has (RFC 9113, 3.4)."""
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_KNOWN_CODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"})
WEBSOCKET: Final = frozenset({b"websocket"})
"""The protocols, in lower case, to which every client may switch."""

_HOPS: Final = re.compile(rb"[0-9]{1,9}")
_MAX_LENGTH: Final = 2**63 - 1
_OPTIONS_REMEMBERED: Final = 256 * 1024  # bytes
_NAMES_REMEMBERED: Final = 256 * 1024  # bytes
_TOKEN_BYTES: Final = 128
"""What a token takes in a set of them, at most."""


@dataclass(init=False, slots=True)
class RequestHead:
    """A request's head as checked. `fields` has lower-case names, in wire order, all of them.

    All but an `upgrade` that was not asked for properly.
    `target` is origin-form (or `*`), byte for byte as it came; `path` and `query` are the same as
    text, without the `?` between. `host` is None only in HTTP/1.0.
    `length` is the body's: a count, or CHUNKED. `upgrade` is set only where an upgrade was asked
    for properly: GET, HTTP/1.1, no body, `Connection: upgrade`, and one protocol that is allowed.
    `request_id` is set where there is just one. `last_hop`: an OPTIONS that goes no further
    (Max-Forwards: 0). `odd_names`: a name has other signs than letters, digits, `-` and `_`.
    """

    method: Final[str]
    target: Final[bytes]
    path: Final[str]
    query: Final[str]
    minor: Final[int]
    fields: Final[HeadFields]
    host: Final[bytes | None]
    length: Final[int]
    keep_alive: Final[bool]
    connection: Final[frozenset[bytes]]
    expects_continue: Final[bool]
    upgrade: Final[bytes | None]
    request_id: Final[bytes | None]
    last_hop: Final[bool]
    odd_names: Final[bool]

    def __init__(
        self,
        method: str,
        target: bytes,
        path: str,
        query: str,
        minor: int,
        fields: HeadFields,
        host: bytes | None,
        length: int,
        keep_alive: bool,
        connection: frozenset[bytes],
        expects_continue: bool,
        upgrade: bytes | None,
        request_id: bytes | None,
        last_hop: bool,
        odd_names: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.minor = minor
        self.fields = fields
        self.host = host
        self.length = length
        self.keep_alive = keep_alive
        self.connection = connection
        self.expects_continue = expects_continue
        self.upgrade = upgrade
        self.request_id = request_id
        self.last_hop = last_hop
        self.odd_names = odd_names


NOTHING: Final[frozenset[bytes]] = frozenset()


def parse_request(
    block: bytes, max_fields: int, upgrades: frozenset[bytes] = WEBSOCKET
) -> RequestHead:
    """Parse the head of a request, from its first byte to the empty line (RFC 9112, 2 to 6).

    `upgrades` are the protocols that may be asked for, in lower case.
    """
    lines = block.split(b"\r\n")
    method, target, minor, path, query = _starts[lines[0]]
    read = list(map(_lines.__getitem__, lines[1:-2]))  # behind them: the empty line
    fields = list(map(field_of, read))
    if len(fields) > max_fields:
        raise ProtocolError(f"more than {max_fields} header fields", 431)
    host: bytes | None = None
    length: int | None = None
    coding: bytes | None = None
    connection = NOTHING
    expects_continue = False
    expects_other = False
    upgrade: bytes | None = None
    hops: bytes | None = None
    request_id: bytes | None = None
    request_ids = 0
    odd_names = False
    for name, value in filter(None, map(ruling_of, read)):
        if name == b"host":
            if host is not None:
                raise ProtocolError("more than one Host")
            if not HOST.fullmatch(value):
                raise ProtocolError("Host is not one host name with an optional port")
            host = value
        elif name == b"content-length":
            if length is not None:
                raise ProtocolError("more than one Content-Length")
            length = content_length(value)
        elif name == b"transfer-encoding":
            if coding is not None:
                raise ProtocolError("more than one Transfer-Encoding")
            coding = value
        elif name == b"connection":
            connection = connection | CONNECTION[value] if connection else CONNECTION[value]
        elif name == b"expect":
            expects_other = expects_other or expects_continue or value.lower() != b"100-continue"
            expects_continue = True
        elif name == b"x-request-id":
            request_id = value
            request_ids += 1
        elif name == b"max-forwards":
            hops = value if hops is None else b""  # two lines: no number
        elif name == b"upgrade":
            upgrade = value if upgrade is None else b","  # two lines: more than one protocol
        else:
            odd_names = True
    chunked = coding is not None
    if coding is not None:
        if length is not None:
            raise ProtocolError("Content-Length together with Transfer-Encoding")
        _check_coding(coding, minor)
    if host is None and minor == 1:
        raise ProtocolError("Host is missing")
    if expects_other:  # told last: what is no HTTP/1.1 has nothing to expect
        raise ProtocolError("the only expectation known here is 100-continue", 417)
    if not target.startswith(b"/"):
        target = origin_form(method, target, host)
        path, _, query = target.decode("ascii").partition("?")
    if upgrade is not None and (
        method != "GET"
        or minor == 0
        or chunked
        or length
        or b"upgrade" not in connection
        or upgrade.lower() not in upgrades
    ):
        upgrade = None
        # The product does not get it, so that nothing is decided by it either.
        fields = [field for field in fields if field[0] != b"upgrade"]
    last_hop = False
    if hops is not None and method == "OPTIONS":
        last_hop, fields = _one_hop_less(hops, fields)
    keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
    return RequestHead(
        method,
        target,
        path,
        query,
        minor,
        fields,
        host,
        CHUNKED if chunked else length or 0,
        keep_alive,
        connection,
        expects_continue and minor == 1 and (chunked or bool(length)),
        upgrade,
        request_id if request_ids == 1 else None,
        last_hop,
        odd_names,
    )


def _decided(name: bytes) -> bytes:
    plain = name.translate(FOLDED)
    return name if plain.startswith((b"access-control-", b"content-length")) else plain


DECIDED_NAME: Final = Memory(_decided, lambda name, _: 2 * len(name), _NAMES_REMEMBERED)
"""A field's name as a call is decided by it: as the most careless product reads it.

Not what makes a call a preflight, which is free: every product has to read that. Nor a length,
which no server takes for that of the body: where a door does not see it, it would be the price.
"""

RequestLine = tuple[str, bytes, int, str, str]
"""Method, target, minor version, and the target's path and query as text."""


def _read_start(start: bytes) -> RequestLine:
    """Read a request line."""
    line = _REQUEST_LINE.fullmatch(start)
    if line is None:
        if _OTHER_VERSION.fullmatch(start):
            raise ProtocolError("only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
        raise ProtocolError("the request line is not `METHOD target HTTP/1.1`")
    method = line.group(1).decode("ascii")
    if method not in _METHODS:
        raise ProtocolError("the method is not known, or not served", 501)
    target = line.group(2)
    path, _, query = target.decode("ascii").partition("?")
    minor = 0 if line.group(3) == b"0" else 1  # a later one is read as ours (RFC 9110, 2.5)
    return method, target, minor, path, query


_RULING: Final = frozenset(
    {
        b"host", b"content-length", b"transfer-encoding", b"connection", b"expect",
        b"max-forwards", b"upgrade", b"x-request-id",
    }
)  # fmt: skip


_USUAL: Final = b"-_0123456789abcdefghijklmnopqrstuvwxyz"


def _rules(field: Field) -> Field | None:
    name = field[0]
    return field if name in _RULING or name.translate(None, _USUAL) else None


_starts: Final = memory_of_starts(_read_start)
_lines: Final = memory_of_lines(_rules)


@lru_cache(maxsize=1024)
def content_length(value: bytes) -> int:
    """Read a Content-Length. Raises ProtocolError for anything but one whole number."""
    if not _LENGTH.fullmatch(value) or (length := int(value)) > _MAX_LENGTH:
        raise ProtocolError("Content-Length is not one whole number")
    return length


def _check_coding(value: bytes, minor: int) -> None:
    if minor == 1 and value.lower() == b"chunked":
        return
    *before, last = (part.strip(b" \t").lower() for part in value.split(b","))
    if minor == 1 and _KNOWN_CODINGS.issuperset(before) and last in {*_KNOWN_CODINGS, b"chunked"}:
        raise ProtocolError("the only transfer coding known here is chunked", 501)
    raise ProtocolError("Transfer-Encoding is not just `chunked` on HTTP/1.1")


def _read_tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(part.strip(b" \t") for part in value.lower().split(b","))


CONNECTION: Final = Memory(
    _read_tokens, lambda value, found: len(value) + _TOKEN_BYTES * len(found), _OPTIONS_REMEMBERED
)
"""The tokens that a Connection field names, in lower case, by its value."""


def _one_hop_less(hops: bytes, fields: HeadFields) -> tuple[bool, HeadFields]:
    """Return whether an OPTIONS ends here, and its fields with one hop less (RFC 9110, 7.6.2)."""
    if not _HOPS.fullmatch(hops):
        raise ProtocolError("Max-Forwards is not one whole number")
    left = int(hops)
    less = (b"max-forwards", b"%d" % max(left - 1, 0))
    return left == 0, [less if field[0] == b"max-forwards" else field for field in fields]
