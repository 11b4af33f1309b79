"""A JSON body, taken in pieces, as text in which only quotation marks end strings.

What holds for single bytes is checked here: UTF-8, escapes, and control characters in strings. The
reader of the structure then needs no look inside a string.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

PIECE: Final = 8 * 1024
"""Bytes of a body that are taken at once: checking them takes up to 0.2 ms, all of them escapes."""

_FILL: Final = b"\xff\xff"  # in no UTF-8, so it is seen at any place
# Finds what could hide the end of a string, and the backslash of what is no escape of JSON's. An
# escape that the end of the piece cuts off is left alone.
_HIDING: Final = re.compile(rb'\\(?:["\\]|(?![/bfnrt]|u[0-9A-Fa-f]{4}|(?:u[0-9A-Fa-f]{0,3})?\Z))')
_CUT_OFF: Final = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_LONGEST_CUT: Final = 5
_BYTES, _ESCAPES, _QUOTES = 200, 4, 8  # so many are checked in the time that one member takes
_CONTROLS: Final = bytes(range(0x20))
_IN_PLAIN: Final = ((b"\\\\", b"'"), (b'\\"', b"'"), (b"\\n", b" "), (b"\\u", b""))


class Piece(NamedTuple):
    """A part of a body. `work`: what it cost to make, in the reader's measure."""

    data: bytes
    last: bool
    work: int = 0


class NotJsonError(Exception):
    """The body is not what it must be; the message says why."""


def pieces_of(body: bytes, size: int = PIECE) -> Iterator[Piece]:
    """Cut a body that is all there."""
    if len(body) <= size:
        return iter((Piece(body, last=True),))
    cuts = range(0, len(body), size)
    return (Piece(body[start : start + size], last=start + size >= len(body)) for start in cuts)


def at_once(reading: Generator[None, None, T]) -> T:
    """Run a reading to its end, where nothing else waits for it."""
    while True:
        try:
            next(reading)
        except StopIteration as end:
            result: T = end.value
            return result


def plain(data: bytes) -> tuple[bytes, bytes]:
    """Return data in which only quotation marks end strings, and a backslash that is cut off.

    An escape takes about as many bytes in it as the character it stands for.
    """
    if b"\\" not in data:
        return data, b""
    hanging = b"\\" if (len(data) - len(data.rstrip(b"\\"))) % 2 else b""
    data = data.removesuffix(hanging)
    for escape, character in _IN_PLAIN:
        data = data.replace(escape, character)
    return data, hanging


class JsonText:
    """What is at hand of a body, from where the reader is.

    `data` is the text with every escape blotted out by bytes that JSON has nowhere, and `raw` the
    bytes themselves; a place in one is the same place in the other. `whole`: nothing more comes.
    """

    __slots__ = ("_cut", "_escape", "_in_string", "_source", "data", "pos", "raw", "whole")

    def __init__(self, source: Iterator[Piece]) -> None:
        self._source = source
        self._cut = b""
        self._escape = b""
        self._in_string = False  # the next piece begins inside a string
        self.data = b""
        self.raw = b""
        self.pos = 0
        self.whole = False

    def refill(self) -> int:
        """Take the next piece and drop what was read; return what it cost, in members.

        Raises NotJsonError for bytes that are not UTF-8, for escapes that are not JSON's and for
        control characters in strings.
        """
        piece, self.whole, work = next(self._source)
        if self._cut or not piece.isascii():
            self._check_utf8(piece)
        text = self._escape + piece
        escapes = text.count(b"\\")
        if escapes:
            text = self._blot_out(text)
        quotes = text.count(b'"')
        if len(text.translate(None, _CONTROLS)) != len(text):
            self._check_strings(text)
        self._in_string ^= quotes % 2 == 1
        self.data = self.data[self.pos :] + text
        self.raw = self.raw[self.pos :] + piece
        self.pos = 0
        return work + len(piece) // _BYTES + escapes // _ESCAPES + quotes // _QUOTES

    def _check_utf8(self, piece: bytes) -> None:
        data = self._cut + piece
        try:
            _, read = codecs.utf_8_decode(data, "strict", self.whole)
        except UnicodeDecodeError:
            raise NotJsonError("the body is not valid JSON in UTF-8") from None
        self._cut = data[read:]

    def _check_strings(self, text: bytes) -> None:
        strings = b"".join(text.split(b'"')[1 - self._in_string :: 2])
        if len(strings.translate(None, _CONTROLS)) != len(strings):
            raise NotJsonError("the body is not valid JSON in UTF-8")

    def _blot_out(self, text: bytes) -> bytes:
        size = len(text)
        text = _HIDING.sub(_FILL, text)
        cut = _CUT_OFF.search(text, max(0, len(text) - _LONGEST_CUT))
        if len(text) != size or (cut and self.whole):  # a backslash alone has become two bytes
            raise NotJsonError("the body is not valid JSON in UTF-8")
        self._escape = b"" if cut is None else cut[0]
        return text if cut is None else text[: cut.start()]
