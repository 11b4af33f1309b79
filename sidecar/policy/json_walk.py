"""The steps of a walk through a JSON text: each does the next bounded thing in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sidecar.policy.json_grammar import (
    IN_ARRAY,
    IN_OBJECT,
    NESTED,
    SCALAR,
    SPACE,
    count_members,
)
from sidecar.policy.json_places import Container, Findings, PointerPlace
from sidecar.policy.json_pointer import Array, Opaque
from sidecar.policy.json_text import JsonText, NotJsonError
from sidecar.policy.json_values import scalar_of

MAX_DEPTH: Final = 128
"""Arrays and objects inside each other; many parsers stop sooner than Python's thousand."""

MAX_NUMBER: Final = 4096
"""Characters of a number: Python reads no whole number of more than 4,300 digits."""

WINDOW: Final = 2048
"""Bytes that one run may look at: 700 members at most."""

STEP: Final = 8
"""What Python does around one match costs as much as so many members."""

_BYTES: Final = 256
"""So many bytes inside a text cost as much as one member."""

_OPENING: Final = {0x5B: 0x5D, 0x7B: 0x7D}
_QUOTE: Final = 0x22
_CLOSE_OBJECT: Final = 0x7D
_SPACES: Final = b" \t\n\r"
_NO_JSON: Final = "the body is not valid JSON in UTF-8"


class JsonWalk:
    """One body's walk: `step(walk)` does the next bounded thing and returns what it cost.

    `_closers` has the bracket that ends each open container; those at its beginning that are on a
    pointer's way have a frame.
    """

    __slots__ = ("_closers", "_frames", "_place", "_text", "_then", "_window", "done", "findings",
                 "step")  # fmt: skip

    def __init__(self, text: JsonText, root: PointerPlace, size: int, window: int) -> None:
        self._text = text
        self._window = window
        self._closers = bytearray()
        self._frames: list[Container] = []
        self._place: PointerPlace | None = root
        self.step: _Step = JsonWalk._begin
        self._then: _Step = JsonWalk._end
        self.findings = Findings(size)
        self.done = False

    # what may come next in the text

    def _begin(self) -> int:
        if not self._text.raw:
            self.done = True  # no body at all
            return 1
        return self._value()

    def _first(self) -> int:
        """Read on after an opening bracket."""
        return self._members(fresh=True)

    def _more(self) -> int:
        """Read on after a comma."""
        return self._members(fresh=False)

    def _rest(self) -> int:
        """Read on after a member."""
        self._space()
        text = self._text
        if text.data.startswith(b",", text.pos):
            text.pos += 1
            self.step = JsonWalk._more
            return STEP
        if text.data[text.pos : text.pos + 1] != self._closers[-1:]:
            return self._stuck()
        self._close()
        return STEP

    def _key(self) -> int:
        text = self._text
        start = text.pos
        if not text.data.startswith(b'"', start):
            return self._stuck()
        on_way = len(self._frames) == len(self._closers)
        end = text.data.find(b'"', start + 1)
        if end < 0:  # too long to be one of ours, which would be at hand
            text.pos = start + 1
            self._place = None
            self.step, self._then = JsonWalk._string, JsonWalk._colon
            return STEP
        text.pos = end + 1
        key = text.raw[start : end + 1]
        self._place = self._frames[-1].member(key, self.findings) if on_way else None
        self.step = JsonWalk._colon
        return STEP + (end - start) // _BYTES

    def _colon(self) -> int:
        self._space()
        text = self._text
        if not text.data.startswith(b":", text.pos):
            return self._stuck()
        text.pos += 1
        self.step = JsonWalk._value
        return STEP

    def _element(self) -> int:
        """Read one element of an array on the way."""
        frame = self._frames[-1]
        self._place = frame.place.indexes.get(frame.count)
        frame.count += 1
        self.step = JsonWalk._value
        return self._value()

    def _value(self) -> int:
        self._space()
        text = self._text
        data, start = text.data, text.pos
        if start == len(data):
            return self._stuck()
        place, char = self._place, data[start]
        self.step = JsonWalk._rest if self._closers else JsonWalk._end
        if char in _OPENING:
            self._open(place, char)
            return STEP
        if char == _QUOTE:
            return self._text_value(place, start)
        match = SCALAR.match(data, start, start + MAX_NUMBER + 1)
        if match is None:
            raise NotJsonError(_NO_JSON)
        end = match.end()
        if end - start > MAX_NUMBER:
            raise NotJsonError(f"the body has a number of more than {MAX_NUMBER} characters")
        text.pos = end
        if place is not None:
            self.findings.found(place, scalar_of(match[0]))
        return STEP + (end - start) // _BYTES

    def _string(self) -> int:
        """Read on in a string that is not all at hand."""
        text = self._text
        start = text.pos
        end = text.data.find(b'"', start)
        if end < 0 and text.whole:
            raise NotJsonError(_NO_JSON)
        text.pos = len(text.data) if end < 0 else end + 1
        if end >= 0:
            self.step = self._then
        return STEP + (text.pos - start) // _BYTES

    def _end(self) -> int:
        self._space()
        text = self._text
        if text.pos < len(text.data):
            raise NotJsonError(_NO_JSON)
        self.done = text.whole
        return STEP

    # the parts of these

    def _members(self, *, fresh: bool) -> int:
        """Skip members that no pointer leads to, and act on what follows them.

        `fresh`: there are none yet, so that the closing bracket may come.
        """
        text = self._text
        data, pos = text.data, text.pos
        match = self._run().match(data, pos, pos + self._window)
        assert match is not None  # noqa: S101 - every part of it is optional
        end = text.pos = match.end()
        cost = STEP + data.count(b",", pos, end) + (end - pos) // _BYTES
        eaten = data[pos:end].rstrip(_SPACES)
        on_way = len(self._frames) == len(self._closers)
        in_object = self._closers[-1] == _CLOSE_OBJECT
        if eaten:
            if on_way and not in_object:
                self._frames[-1].count += count_members(eaten)
                cost *= 2
            if not eaten.endswith(b","):
                self._close()  # a run stops so only before the bracket
                return cost
            fresh = False
        if end == len(data) or data[end] in _SPACES:  # of these, one match looks at so many
            if end == len(data):
                self._stuck()
            self.step = JsonWalk._first if fresh else JsonWalk._more
        elif fresh and data[end] == self._closers[-1]:
            self._close()
        elif in_object:
            self.step = JsonWalk._key
        else:
            self.step = JsonWalk._element if on_way else JsonWalk._value
            self._place = None
        return cost

    def _run(self) -> re.Pattern[bytes]:
        """Return what eats the members that no pointer leads to."""
        in_object = self._closers[-1] == _CLOSE_OBJECT
        depth = len(self._closers)
        if depth == len(self._frames):
            frame = self._frames[-1]
            if in_object:
                return frame.place.others
            if frame.count <= frame.place.last_index:
                return SPACE
        if depth > MAX_DEPTH - NESTED:
            return SPACE
        return IN_OBJECT if in_object else IN_ARRAY

    def _space(self) -> None:
        text = self._text
        data, pos = text.data, text.pos
        if pos < len(data) and data[pos] in _SPACES:
            match = SPACE.match(data, pos)
            if match is not None:
                text.pos = match.end()

    def _stuck(self) -> int:
        """Wait for more text; where there is none, or something else is there, give up."""
        text = self._text
        if text.whole or text.pos < len(text.data):
            raise NotJsonError(_NO_JSON)
        return 1

    def _open(self, place: PointerPlace | None, char: int) -> None:
        if len(self._closers) == MAX_DEPTH:
            raise NotJsonError("the body is nested too deeply")
        self._text.pos += 1
        closer = _OPENING[char]
        if place is not None:
            if closer == _CLOSE_OBJECT:
                self.findings.found(place, Opaque())
            self._frames.append(Container(place))
        self._closers.append(closer)
        self.step = JsonWalk._first

    def _close(self) -> None:
        self._text.pos += 1
        if len(self._frames) == len(self._closers):
            frame = self._frames.pop()
            if self._closers[-1] != _CLOSE_OBJECT:
                self.findings.found(frame.place, Array(frame.count))
        self._closers.pop()
        self.step = JsonWalk._rest if self._closers else JsonWalk._end

    def _text_value(self, place: PointerPlace | None, start: int) -> int:
        text = self._text
        end = text.data.find(b'"', start + 1)
        if end < 0:
            if place is not None:
                self.findings.found(place, Opaque())
            text.pos = start + 1
            self._then, self.step = self.step, JsonWalk._string
            return STEP
        if place is not None and place.ends:
            self.findings.found(place, scalar_of(text.raw[start : end + 1]))
        text.pos = end + 1
        return STEP + (end - start) // _BYTES


_Step = Callable[[JsonWalk], int]
"""Not bound to the walk: such a cycle would keep a whole body until the collector runs."""
