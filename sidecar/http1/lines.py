"""Where a head ends, and what a field line says, by the grammar of RFC 9112 and nothing beside it.

What holds between lines (framing, Host, Connection) is no line's own, and is checked for every head
(heads.py). So a line means the same whatever stands around it, and one that was accepted before is
looked up: a client sends nearly the same ones with every request, a server with every answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Final, TypeVar

from sidecar.http1.errors import ProtocolError
from sidecar.http1.memory import Memory

Field = tuple[bytes, bytes]
"""A field's name in lower case, and its value without the white space around it."""

FieldLine = tuple[Field, Field | None]
"""A field, and as much of it as rules over framing and the like: None where nothing does."""

Start = TypeVar("Start")
"""What a start line says: of a request, or of an answer."""

REMEMBERED: Final = 4 * 1024 * 1024  # bytes; of field lines, and as much of start lines, each way
_TEXT: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
field_of: Final = itemgetter(0)
ruling_of: Final = itemgetter(1)
OF_ONE_MESSAGE: Final = frozenset({b"x-request-id", b"traceparent"})
"""Fields with another value in each message: to keep their lines costs more than to read them."""


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


def read_field(line: bytes) -> Field:
    """Read a field line (RFC 9112, 5); ProtocolError where it is anything else.

    A folded line begins with a blank, which no name holds.
    """
    name, colon, value = line.partition(b":")
    if not colon or not name or name.translate(None, _TOKEN):
        raise ProtocolError("a field line is not `name: value`, or its name is not a token")
    if value.translate(None, _TEXT):
        raise ProtocolError("a control byte, or a bare CR or LF, stands in a field")
    name = name.lower()
    if name == b"transfer-encoding" and b"\t" in value:  # white space, but not to every parser
        raise ProtocolError("a tab stands in Transfer-Encoding")
    return name, value.strip(b" \t")


def memory_of_starts(read: Callable[[bytes], Start]) -> Memory[bytes, Start]:
    """Return a table of start lines, each read once."""
    return Memory(read, lambda line, _: 2 * len(line), REMEMBERED)


def memory_of_lines(
    rules: Callable[[Field], Field | None], capacity: int = REMEMBERED
) -> Memory[bytes, FieldLine]:
    """Return a table of field lines, each read once; `rules` returns as much of it as rules."""

    def read(line: bytes) -> FieldLine:
        field = read_field(line)
        return field, rules(field)

    return Memory(read, _size_of, capacity)


def _size_of(line: bytes, read: FieldLine) -> int:
    """Return the bytes that a line takes: 0, for not kept, where it would not come again."""
    return 0 if read[0][0] in OF_ONE_MESSAGE else 2 * len(line)
