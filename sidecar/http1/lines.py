"""The lines of heads, each read once: llhttp splits what was not seen before.

A client sends nearly the same lines with every request, and a server with every answer. A line that
llhttp and our checks have accepted means the same again, so only the others are read: a head of 15
fields with a 900-byte cookie takes 3 us instead of 9. What holds between lines (framing, Host,
Connection) is no line's own, and is checked for every head (heads.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

import httptools

from sidecar.http1.errors import ProtocolError
from sidecar.http1.memory import ENTRY_BYTES, LONGEST_KEPT

Field = tuple[bytes, bytes]
"""A field's name in lower case, and its value without the white space around it."""

Start = TypeVar("Start")
"""What a start line says: of a request, or of an answer."""

_TEXT: Final = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")

LlhttpParser = httptools.HttpRequestParser | httptools.HttpResponseParser


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


class Events:
    """Collects what llhttp finds."""

    __slots__ = ("fields", "reason", "target")

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.target = b""
        self.reason = b""

    def on_url(self, url: bytes) -> None:
        """Take a part of a request's target."""
        self.target += url

    def on_status(self, reason: bytes) -> None:
        """Take a part of an answer's reason."""
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field, once its name is known to be a token (RFC 9110, 5.1)."""
        if not name or name.translate(None, _TOKEN):
            raise ProtocolError("a field name is not a token")
        self.fields.append((name.lower(), value.strip(b" \t")))


class Lines(Generic[Start]):
    """Start lines and field lines that were accepted before, in bounded memory.

    `start`, `field` and `ruling` look a line up, at the cost of a look in a dict: each returns None
    for a line that is not known. `ruling` knows only what rules, over framing and the like.
    """

    __slots__ = ("_capacity", "_fields", "_left", "_read", "_ruling", "_ruling_part", "_starts",
                 "field", "ruling", "start")  # fmt: skip

    def __init__(
        self,
        read: Callable[[bytes, list[bytes]], tuple[Start, list[Field]]],
        ruling: Callable[[Field], Field | None],
        capacity: int,
    ) -> None:
        """Keep `capacity` bytes of what `read(start, lines)` accepts; it raises ProtocolError.

        `ruling` returns as much of a field as rules; None where nothing does.
        """
        self._read = read
        self._ruling_part = ruling
        self._capacity = self._left = capacity
        self._starts: dict[bytes, Start] = {}
        self._fields: dict[bytes, Field] = {}
        self._ruling: dict[bytes, Field] = {}
        self.start: Final[Callable[[bytes], Start | None]] = self._starts.get
        # For a whole list, whose `all` says whether each is known.
        self.field: Final = cast("Callable[[bytes], Field]", self._fields.get)
        self.ruling: Final[Callable[[bytes], Field | None]] = self._ruling.get

    def read(self, first: bytes, lines: list[bytes]) -> tuple[Start, list[Field], list[Field]]:
        """Read a head's start line and field lines: its start, its fields, those that rule.

        Raises ProtocolError.
        """
        known: list[Field | None] = [None] * len(lines)
        if self._starts.get(first) is not None:  # what a field may be can hang on the method
            known = list(map(self._fields.get, lines))
        new = [line for line, field in zip(lines, known, strict=True) if field is None]
        try:
            start, read = self._read_all(first, new)
        except ProtocolError:
            if len(new) == len(lines):
                raise
            start, read = self._read_all(first, lines)  # the error is that of the whole head
            return start, read, self._those_that_rule(read)
        if first not in self._starts and self._makes_room(first):
            self._starts[first] = start
        for line, field in zip(new, read, strict=True):
            if line not in self._fields and self._makes_room(line):
                self._fields[line] = field
                part = self._ruling_part(field)
                if part is not None:
                    self._ruling[line] = part
        learnt = iter(read)
        fields = [next(learnt) if field is None else field for field in known]
        return start, fields, self._those_that_rule(fields)

    def _those_that_rule(self, fields: list[Field]) -> list[Field]:
        return list(filter(None, map(self._ruling_part, fields)))

    def _makes_room(self, line: bytes) -> bool:
        """Make room for a line; say whether it is kept. What rules is forgotten with its line."""
        if 2 * len(line) > LONGEST_KEPT:
            return False
        size = 2 * len(line) + ENTRY_BYTES
        if size > self._left:
            self._starts.clear()
            self._fields.clear()
            self._ruling.clear()
            self._left = self._capacity
        self._left -= size
        return True

    def _read_all(self, first: bytes, lines: list[bytes]) -> tuple[Start, list[Field]]:
        start, fields = self._read(first, lines)
        if len(fields) != len(lines):
            raise ProtocolError("the head is not HTTP/1.1")
        return start, fields


def feed(parser: LlhttpParser, start: bytes, lines: list[bytes]) -> None:
    """Have llhttp split lines, once nothing is in them that it would let pass or unfold.

    That is control bytes, a bare CR or LF, and folded lines.
    """
    block = b"\r\n".join((start, *lines, b"", b""))
    line_ends = block.translate(None, _TEXT)
    if line_ends != b"\r\n" * (len(lines) + 2):
        raise ProtocolError("a control byte, or a bare CR or LF, stands in the head")
    if b"\n " in block or b"\n\t" in block:
        raise ProtocolError("a field line is folded, or starts with white space")
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
        # What llhttp says is one of its own fixed sentences: it quotes nothing of the head.
        raise ProtocolError(f"the head is not HTTP/1.1: {error}") from error
