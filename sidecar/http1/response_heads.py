"""Heads of answers, read as those of requests are (see heads.py)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import (
    CHUNKED,
    CONNECTION,
    NOTHING,
    UNTIL_CLOSE,
    HeadFields,
    content_length,
)
from sidecar.http1.lines import Field, field_of, memory_of_lines, memory_of_starts, ruling_of

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?")


@dataclass(init=False, slots=True)
class ResponseHead:
    """A response's head as checked; `length` is a count, CHUNKED or UNTIL_CLOSE.

    `dated`: it has a Date.
    """

    status: Final[int]
    reason: Final[bytes]
    minor: Final[int]
    fields: Final[HeadFields]
    length: Final[int]
    keep_alive: Final[bool]
    connection: Final[frozenset[bytes]]
    dated: Final[bool]

    def __init__(
        self,
        status: int,
        reason: bytes,
        minor: int,
        fields: HeadFields,
        length: int,
        keep_alive: bool,
        connection: frozenset[bytes],
        dated: bool,
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.fields = fields
        self.length = length
        self.keep_alive = keep_alive
        self.connection = connection
        self.dated = dated


_RULING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade"})
_DATED: Final = (b"date", b"")


def parse_response(block: bytes, method: str, max_fields: int) -> ResponseHead:
    """Parse the head of a response to `method` (RFC 9112, 4 to 6); what is unclear is an error."""
    lines = block.split(b"\r\n")
    status, reason, minor = _starts[lines[0]]
    read = list(map(_lines.__getitem__, lines[1:-2]))
    fields = list(map(field_of, read))
    if len(fields) > max_fields:
        raise ProtocolError(f"more than {max_fields} header fields")
    ruling = tuple(filter(None, map(ruling_of, read)))
    framed = _framing(status, minor, ruling, to_head=method == "HEAD")
    return ResponseHead(status, reason, minor, fields, *framed)


@lru_cache(maxsize=2048)
def _framing(
    status: int, minor: int, ruling: tuple[Field, ...], *, to_head: bool
) -> tuple[int, bool, frozenset[bytes], bool]:
    """Work out an answer's framing from the fields that rule: nearly the same ones come each time.

    Returns the body's length, CHUNKED or UNTIL_CLOSE; whether the connection is kept; what
    Connection names; and whether there is a Date. `to_head`: the answer is that to a HEAD.
    """
    length: int | None = None
    chunked = False
    connection = NOTHING
    upgrades = dated = False
    for name, value in ruling:
        if name == b"content-length":
            if length is not None:
                raise ProtocolError("more than one Content-Length")
            length = content_length(value)
        elif name == b"upgrade":
            upgrades = True
        elif name == b"transfer-encoding":
            if chunked or minor == 0 or value.lower() != b"chunked":
                raise ProtocolError("Transfer-Encoding is not just `chunked`")
            chunked = True
        elif name == b"connection":
            connection = connection | CONNECTION[value] if connection else CONNECTION[value]
        else:
            dated = True
    if chunked and length is not None:
        raise ProtocolError("Content-Length together with Transfer-Encoding")
    keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
    if status < 200 and (chunked or length):
        raise ProtocolError("an interim answer has a body")
    if status == 101 and not (upgrades and b"upgrade" in connection):  # RFC 9110, 7.8
        raise ProtocolError("a 101 does not say to what it switches")
    if to_head or status < 200 or status in {204, 304}:
        # A broken server sends the body all the same, and it may come after the next request:
        # there it would be read as the answer.
        sure = not (chunked or length or (to_head and length is None))
        return 0, keep_alive and sure, connection, dated
    if chunked:
        return CHUNKED, keep_alive, connection, dated
    if length is None:
        return UNTIL_CLOSE, False, connection, dated
    return length, keep_alive, connection, dated


def _read_start(start: bytes) -> tuple[int, bytes, int]:
    """Read a status line into status, reason and minor version."""
    line = _STATUS_LINE.fullmatch(start)
    if line is None:
        raise ProtocolError("the status line is not `HTTP/1.1 status reason`")
    minor, status, reason = line.groups(b"")
    return int(status), reason.strip(b" \t"), int(minor)


def _rules(field: Field) -> Field | None:
    """Return what rules of an answer's field: of a Date, that there is one."""
    name = field[0]
    return _DATED if name == b"date" else field if name in _RULING else None


_starts: Final = memory_of_starts(_read_start)
_lines: Final = memory_of_lines(_rules)
