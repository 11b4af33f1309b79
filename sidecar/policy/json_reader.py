"""The one reader of JSON bodies: it walks a body once, along some pointers, in bounded pieces.

The product parses the same body with a parser we do not know. What JSON leaves open is refused
where it touches a pointer's way: a key that is repeated (RFC 8259, section 4), or that differs from
a pointer's only in case, as widely used parsers match keys without regard to case. All that is
skipped is validated, since a lenient parser could read other text out of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final

from sidecar.policy.json_grammar import (
    COMPACT,
    CONTROL,
    NESTED,
    SCALAR,
    SPACE,
    SPACED,
    count_members,
)
from sidecar.policy.json_places import Container, PointerPlace
from sidecar.policy.json_pointer import (
    Array,
    JsonPointer,
    JsonValue,
    Missing,
    Opaque,
    PointerResult,
    Unreadable,
)
from sidecar.policy.json_text import JsonText, NotJsonError, Piece
from sidecar.policy.json_values import MAX_TEXT, NAMES, decoded_string, scalar_of

MAX_DEPTH: Final = 128
"""Arrays and objects inside each other; many parsers stop sooner than Python's thousand."""

MAX_NUMBER: Final = 4096
"""Characters of a number: Python reads no whole number of more than 4,300 digits."""

WORK: Final = 512
"""What one piece of reading may cost, in members: one takes about 0.15 us in a run."""

_WINDOW: Final = 2048
"""Bytes that one run may look at: 700 members at most."""

_STEP: Final = 8
"""What Python does around one match costs as much as so many members."""

_BYTES: Final = 256
"""So many bytes inside a text cost as much as one member."""

_OPENING: Final = {0x5B: 0x5D, 0x7B: 0x7D}
_QUOTE: Final = 0x22
_CLOSE_OBJECT: Final = 0x7D
_SPACES: Final = b" \t\n\r"
_NO_JSON: Final = "the body is not valid JSON in UTF-8"


class JsonReader:
    """Reads what some pointers point at, all in one walk."""

    def __init__(self, pointers: Sequence[JsonPointer]) -> None:
        self._size = len(pointers)
        self._root = PointerPlace(
            (number, pointer.tokens) for number, pointer in enumerate(pointers)
        )
        longest = max(node.longest_key for node in self._root.depth_first())
        self._ahead = max(longest, MAX_NUMBER, MAX_TEXT) + 2

    def read(
        self, source: Iterator[Piece], *, work: int = WORK, window: int = _WINDOW
    ) -> Generator[None, None, tuple[PointerResult, ...]]:
        """Walk a body; yields between two pieces of work, returns a finding for each pointer.

        Strict JSON in UTF-8 only: no NaN, no comments, no byte-order mark. An empty body has
        nothing in it.
        """
        text = JsonText(source)
        ahead = self._ahead
        walk = _Walk(text, self._root, self._size, window)
        left = work
        try:
            while not walk.done:
                if text.whole or len(text.data) - text.pos >= ahead:
                    left -= walk.step()
                else:
                    left -= _STEP + text.refill()
                if left <= 0:
                    yield
                    left = work
        except NotJsonError as error:
            return (Unreadable(str(error)),) * self._size
        finally:
            walk.end()
        return tuple(walk.findings)


class _Walk:
    """One body's walk: `step` does the next bounded thing in the text and returns what it cost.

    `_closers` has the bracket that ends each open container; those at its beginning that are on a
    pointer's way have a frame.
    """

    __slots__ = ("_closers", "_frames", "_node", "_text", "_then", "_window", "done", "findings",
                 "step")  # fmt: skip

    def __init__(self, text: JsonText, root: PointerPlace, size: int, window: int) -> None:
        self._text = text
        self._window = window
        self._closers = bytearray()
        self._frames: list[Container] = []
        self._node: PointerPlace | None = root
        self.step: Callable[[], int] = self._begin
        self._then: Callable[[], int] = self._end
        self.findings: list[PointerResult] = [Missing()] * size
        self.done = False

    def end(self) -> None:
        """Let go of the text: a step is a bound method, and holds this object as that holds it.

        Such a cycle keeps a whole body until the collector runs.
        """
        self.step = self._then = _ended

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
            self.step = self._more
            return _STEP
        if text.data[text.pos : text.pos + 1] != self._closers[-1:]:
            return self._stuck()
        self._close()
        return _STEP

    def _key(self) -> int:
        text = self._text
        start = text.pos
        if not text.data.startswith(b'"', start):
            return self._stuck()
        on_way = len(self._frames) == len(self._closers)
        end = text.data.find(b'"', start + 1)
        if end < 0:  # too long to be one of ours, which would be at hand
            text.pos = start + 1
            self._node = None
            self.step, self._then = self._string, self._colon
            return _STEP
        self._check_string(start + 1, end)
        text.pos = end + 1
        self._node = self._child(start, end + 1) if on_way else None
        self.step = self._colon
        return _STEP + (end - start) // _BYTES

    def _colon(self) -> int:
        self._space()
        text = self._text
        if not text.data.startswith(b":", text.pos):
            return self._stuck()
        text.pos += 1
        self.step = self._value
        return _STEP

    def _element(self) -> int:
        """Read one element of an array on the way."""
        frame = self._frames[-1]
        self._node = frame.node.indexes.get(frame.count)
        frame.count += 1
        self.step = self._value
        return self._value()

    def _value(self) -> int:
        self._space()
        text = self._text
        data, start = text.data, text.pos
        if start == len(data):
            return self._stuck()
        node, char = self._node, data[start]
        self.step = self._rest if self._closers else self._end
        if char in _OPENING:
            self._open(node, char)
            return _STEP
        if char == _QUOTE:
            return self._text_value(node, start)
        match = SCALAR.match(data, start, start + MAX_NUMBER + 1)
        if match is None:
            raise NotJsonError(_NO_JSON)
        end = match.end()
        if end - start > MAX_NUMBER:
            raise NotJsonError(f"the body has a number of more than {MAX_NUMBER} characters")
        text.pos = end
        if node is not None:
            raw = match[0]
            self._found(node, NAMES[raw] if raw in NAMES else scalar_of(raw))
        return _STEP + (end - start) // _BYTES

    def _string(self) -> int:
        """Read on in a string that is not all at hand."""
        text = self._text
        start = text.pos
        end = text.data.find(b'"', start)
        if end < 0 and text.whole:
            raise NotJsonError(_NO_JSON)
        text.pos = len(text.data) if end < 0 else end + 1
        self._check_string(start, text.pos)
        if end >= 0:
            self.step = self._then
        return _STEP + (text.pos - start) // _BYTES

    def _end(self) -> int:
        self._space()
        text = self._text
        if text.pos < len(text.data):
            raise NotJsonError(_NO_JSON)
        self.done = text.whole
        return _STEP

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
        cost = _STEP + data.count(b",", pos, end) + (end - pos) // _BYTES
        eaten = data[pos:end].rstrip(_SPACES)
        on_way = len(self._frames) == len(self._closers)
        in_object = self._closers[-1] == _CLOSE_OBJECT
        if eaten:
            if on_way and in_object:
                self._take_named(match)
            elif on_way:
                self._frames[-1].count += count_members(eaten)
                cost *= 2
            if not eaten.endswith(b","):
                self._close()  # a run stops so only before the bracket
                return cost
            fresh = False
        if end == len(data) or data[end] in _SPACES:  # of these, one match looks at so many
            if end == len(data):
                self._stuck()
            self.step = self._first if fresh else self._more
        elif fresh and data[end] == self._closers[-1]:
            self._close()
        elif in_object:
            self.step = self._key
        else:
            self.step = self._element if on_way else self._value
            self._node = None
        return cost

    def _run(self) -> re.Pattern[bytes]:
        """Return what eats the members that no pointer leads to."""
        in_object = self._closers[-1] == _CLOSE_OBJECT
        depth = len(self._closers)
        spaced = self._text.spaced
        if depth == len(self._frames):
            frame = self._frames[-1]
            if in_object:
                return frame.node.spaced if spaced else frame.node.compact
            if frame.count <= frame.node.last_index:
                return SPACE
        grammar = SPACED if spaced else COMPACT
        if depth > MAX_DEPTH - NESTED:
            return grammar.flat_objects if in_object else grammar.flat_arrays
        return grammar.objects if in_object else grammar.arrays

    def _take_named(self, match: re.Match[bytes]) -> None:
        """Take the member with a name of interest, where a run has eaten one."""
        if match.lastindex is not None:
            (start, end), value = match.span(1), match.span(2)
            node = self._child(start - 1, end + 1)
            if node is not None and node.ends:
                self._found(node, scalar_of(self._text.raw[value[0] : value[1]]))

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

    def _check_string(self, start: int, end: int) -> None:
        if self._text.spaced and CONTROL.search(self._text.data, start, end):
            raise NotJsonError(_NO_JSON)

    def _open(self, node: PointerPlace | None, char: int) -> None:
        if len(self._closers) == MAX_DEPTH:
            raise NotJsonError("the body is nested too deeply")
        self._text.pos += 1
        closer = _OPENING[char]
        if node is not None:
            if closer == _CLOSE_OBJECT:
                self._found(node, Opaque())
            self._frames.append(Container(node))
        self._closers.append(closer)
        self.step = self._first

    def _close(self) -> None:
        self._text.pos += 1
        if len(self._frames) == len(self._closers):
            frame = self._frames.pop()
            if self._closers[-1] != _CLOSE_OBJECT:
                self._found(frame.node, Array(frame.count))
        self._closers.pop()
        self.step = self._rest if self._closers else self._end

    def _text_value(self, node: PointerPlace | None, start: int) -> int:
        text = self._text
        end = text.data.find(b'"', start + 1)
        if end < 0:
            if node is not None:
                self._found(node, Opaque())
            text.pos = start + 1
            self._then, self.step = self.step, self._string
            return _STEP
        self._check_string(start + 1, end)
        if node is not None and node.ends:
            self._found(node, scalar_of(text.raw[start : end + 1]))
        text.pos = end + 1
        return _STEP + (end - start) // _BYTES

    def _child(self, start: int, end: int) -> PointerPlace | None:
        """Return where a key on the way leads; note when it is there twice, in any sense."""
        frame = self._frames[-1]
        node = frame.node
        if end - start > node.longest_key:
            return None
        key = decoded_string(self._text.raw[start:end])
        for token in node.folded.get(key.casefold(), ()):
            if token != key:
                self._spoil(
                    node.keys[token], f"the body has keys that differ from {token!r} only in case"
                )
        child = node.keys.get(key)
        if child is None:
            return None
        if key in frame.seen:
            self._spoil(child, f"the body has the key {key!r} more than once")
            return None
        frame.seen.add(key)
        return child

    def _found(self, node: PointerPlace, value: JsonValue) -> None:
        for number in node.ends:
            if not isinstance(self.findings[number], Unreadable):
                self.findings[number] = value

    def _spoil(self, node: PointerPlace, detail: str) -> None:
        for number in node.all:
            self.findings[number] = Unreadable(detail)


def _ended() -> int:
    return 1
