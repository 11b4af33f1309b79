"""Takes the usage chunk out of a stream whose client did not ask for it, and nothing else.

The chunk is an event with one line of data: an object with empty `choices` and a `usage`. No event
is delayed: only the beginning of a line waits, and only while the line can still become the chunk.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

from sidecar.usage.tally import OBJECT_FOLLOWS, names_usage

LONGEST: Final = 16 * 1024
"""Bytes of a line that can be the chunk."""

_LINE: Final = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")
_NEEDLE: Final = b'"usage"'
_BEGINNINGS: Final = (b"data: {", b"data:{")
_HAS_CHOICES: Final = re.compile(rb'"choices"[ \t]*:[ \t]*(?:[^\[ \t]|\[[ \t]*[^\] \t])')
_NEW_LINE: Final = 0x0A


class UsageChunkFilter:
    """The filter of one stream, which is not compressed."""

    __slots__ = ("_after_return", "_data", "_held", "_passed", "_passing", "_removed")

    def __init__(self) -> None:
        self._held = b""  # the beginning of a line
        self._passing = False  # the rest of a line that has begun to pass
        self._passed = False  # a line of this event
        self._data = False  # one of them is data
        self._removed = False  # this event was the chunk
        self._after_return: bool | None = None  # a line has just ended in CR: whether it passed

    def feed(self, data: bytes) -> bytes:
        """Take a part of the stream; return what goes to the client now."""
        if (
            data.endswith(b"\n\n")
            and not (self._held or self._passing or self._passed or self._removed)
            and self._after_return is None
            and not names_usage(data, _NEEDLE, OBJECT_FOLLOWS)
        ):
            return data
        text = self._held + data
        self._held = b""
        return b"".join(self._lines(text))

    def end(self) -> bytes:
        """Return what was held: a line that is cut off, or the chunk without its line end."""
        held, self._held = self._held, b""
        return b"" if self._is_chunk(held) else held

    def _lines(self, text: bytes) -> list[bytes]:
        out: list[bytes] = []
        at = 0
        if self._after_return is not None and text:
            if text[0] == _NEW_LINE:  # the second half of CR LF
                at = 1
                out += [b"\n"] if self._after_return else []
            self._after_return = None
        while at < len(text):
            found = _LINE.match(text, at)
            if found is None:  # it matches anything
                break
            line, end = found[1], found[2]
            at = found.end()
            if not end:
                if not self._passing and _can_be_chunk(line):
                    self._held = line
                    break
                out.append(line)
                if not self._passing:
                    self._note(line)
                self._passing = True
                break
            passes = self._passes(line)
            if passes:
                out.append(line + end)
            if end == b"\r" and at == len(text):
                self._after_return = passes
        return out

    def _passes(self, line: bytes) -> bool:
        """Say whether a whole line passes."""
        if self._passing:
            self._passing = False
            return True
        if not line:
            passes = self._passed or not self._removed
            self._passed = self._data = self._removed = False
            return passes
        if self._is_chunk(line):
            self._removed = True
            return False
        self._note(line)
        return True

    def _note(self, line: bytes) -> None:
        self._passed = True
        self._data = self._data or line.startswith(b"data")

    def _is_chunk(self, line: bytes) -> bool:
        if self._data or not _can_be_chunk(line):
            return False
        if not names_usage(line, _NEEDLE, OBJECT_FOLLOWS):
            return False
        try:
            chunk = orjson.loads(line[5:])
        except orjson.JSONDecodeError:
            return False
        return chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


def _can_be_chunk(line: bytes) -> bool:
    """Say whether a line, or the line that begins so, can be the chunk."""
    begins = line.startswith(_BEGINNINGS) or any(each.startswith(line) for each in _BEGINNINGS)
    return begins and len(line) <= LONGEST and _HAS_CHOICES.search(line) is None
