"""The one reader of JSON bodies: it walks a body once, along some pointers, in bounded pieces.

The product parses the same body with a parser we do not know. What JSON leaves open is refused
where it touches a pointer's way: a key that is repeated (RFC 8259, section 4), or that differs from
a pointer's only in case, as widely used parsers match keys without regard to case. All that is
skipped is validated, since a lenient parser could read other text out of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Final

from sidecar.policy.json_places import PointerPlace
from sidecar.policy.json_pointer import JsonPointer, PointerResult, Unreadable
from sidecar.policy.json_text import JsonText, NotJsonError, Piece
from sidecar.policy.json_values import MAX_TEXT
from sidecar.policy.json_walk import MAX_NUMBER, STEP, WINDOW, JsonWalk

WORK: Final = 512
"""What one piece of reading may cost, in members: one takes about 0.15 us in a run."""


class JsonReader:
    """Reads what some pointers point at, all in one walk."""

    def __init__(self, pointers: Sequence[JsonPointer]) -> None:
        self._size = len(pointers)
        self._root = PointerPlace(
            (number, pointer.tokens) for number, pointer in enumerate(pointers)
        )
        longest = max(place.longest_key for place in self._root.depth_first())
        self._ahead = max(longest, MAX_NUMBER, MAX_TEXT) + 2

    def read(
        self, source: Iterator[Piece], *, work: int = WORK, window: int = WINDOW
    ) -> Generator[None, None, tuple[PointerResult, ...]]:
        """Walk a body; yields between two pieces of work, returns a finding for each pointer.

        Strict JSON in UTF-8 only: no NaN, no comments, no byte-order mark. An empty body has
        nothing in it.
        """
        text = JsonText(source)
        ahead = self._ahead
        walk = JsonWalk(text, self._root, self._size, window)
        left = work
        try:
            while not walk.done:
                if text.whole or len(text.data) - text.pos >= ahead:
                    left -= walk.step(walk)
                else:
                    left -= STEP + text.refill()
                if left <= 0:
                    yield
                    left = work
        except NotJsonError as error:
            return (Unreadable(str(error)),) * self._size
        return tuple(walk.findings.results)
