"""A JSON array that is a stream: Gemini without `alt=sse` sends a chunk as each element."""

from __future__ import annotations

import re
from typing import Final

from sidecar.usage.events import MAX_EVENT, take_document
from sidecar.usage.tally import UsageTally, names_usage

_NEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_REST_OF_STRING: Final = re.compile(rb"[^\"\\]*(?:\\.[^\"\\]*)*", re.DOTALL)
_MOST_STEPS: Final = 2000
"""Strings and brackets in one piece of the array: up to 1 ms."""

_QUOTE: Final = 0x22
_OPENING: Final = b"[{"
_IN_ARRAY: Final = 1
"""Brackets that are open around an element."""


class ElementReader:
    """Finds where each element begins and ends, and hands those that name usage to a tally."""

    def __init__(self, tally: UsageTally) -> None:
        self._tally = tally
        self._pending = bytearray()
        self._at = 0  # all before it is read
        self._start = -1  # of the element that is open
        self._depth = 0
        self._in_string = False
        self._given_up = False

    def feed(self, text: bytes) -> None:
        """Take the next piece of the array."""
        if self._given_up:
            return
        self._pending += text
        self._scan()
        self._forget()

    def end(self) -> None:
        """Forget an element that has no end."""
        self._pending.clear()

    def _scan(self) -> None:
        pending = self._pending
        for _ in range(_MOST_STEPS):
            if self._in_string:
                rest = _REST_OF_STRING.match(pending, self._at)
                self._at = rest.end() if rest else self._at
                if self._at >= len(pending) or pending[self._at] != _QUOTE:
                    return  # a backslash may be the last byte
                self._at += 1
                self._in_string = False
            found = _NEXT.search(pending, self._at)
            if found is None:
                self._at = len(pending)
                return
            self._at = found.end()
            first = pending[found.start()]
            if first == _QUOTE:
                self._in_string = found.end() - found.start() == 1
            elif first in _OPENING:
                self._open(found.start())
            else:
                self._close()
        self._given_up = self._tally.too_large = True
        pending.clear()
        self._at, self._start = 0, -1

    def _open(self, at: int) -> None:
        if self._depth == _IN_ARRAY:
            self._start = at
        self._depth += 1

    def _close(self) -> None:
        self._depth -= 1
        if self._depth == _IN_ARRAY and self._start >= 0:
            element = bytes(self._pending[self._start : self._at])
            self._start = -1
            tally = self._tally
            if names_usage(element, tally.needle, tally.follows):
                take_document(tally, element)

    def _forget(self) -> None:
        """Drop what is read: all before the open element, and an element that is too long."""
        if self._start >= 0 and self._at - self._start > MAX_EVENT:
            self._tally.too_large = True
            self._start = -1
        done = self._start if self._start >= 0 else self._at
        del self._pending[:done]
        self._at -= done
        self._start = min(0, self._start)
