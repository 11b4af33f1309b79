"""An answer that is one JSON document, of any length, read as it passes.

A short one is parsed when it ends. A long one is not kept: the policy's reader walks it, along the
pointers of the format.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Final

from sidecar.policy.json_pointer import PointerResult, Unreadable
from sidecar.policy.json_reader import WORK, JsonReader
from sidecar.policy.json_text import PIECE, Piece
from sidecar.usage.events import take_document
from sidecar.usage.tally import UsageTally

KEPT: Final = 16 * 1024
"""Bytes of a body that is kept until it ends."""

_MOST_STEPS: Final = 32
"""Steps of the policy's reader that a piece of it may take: up to 2 ms. Text takes one or two."""


class BodyReader:
    """Reads the usage of one document."""

    def __init__(self, tally: UsageTally) -> None:
        self._tally = tally
        self._kept = bytearray()
        self._parts: deque[bytes] = deque()
        self._whole = False
        self._walk: Generator[None, None, tuple[PointerResult, ...]] | None = None
        self._done = False

    def feed(self, text: bytes) -> None:
        """Take the next part of the body."""
        if self._done:
            return
        if self._walk is not None:
            self._push(text)
            return
        self._kept += text
        if len(self._kept) > KEPT:
            self._walk = JsonReader(self._tally.pointers()).read(self._source())
            self._push(bytes(self._kept))
            self._kept.clear()

    def end(self) -> None:
        """Take the body as whole."""
        self._whole = True
        if self._walk is None:
            if self._kept:
                take_document(self._tally, bytes(self._kept))
                self._kept.clear()
            return
        while not self._done:
            self._step()

    def _push(self, text: bytes) -> None:
        for at in range(0, len(text), PIECE):
            self._parts.append(text[at : at + PIECE])
            left = _MOST_STEPS
            while self._parts and not self._done:
                if not left:
                    self._give_up()
                    return
                left -= 1
                self._step()

    def _give_up(self) -> None:
        """Look at nothing more: it would hold the loop."""
        self._done = self._tally.too_large = True
        self._walk = None
        self._parts.clear()

    def _step(self) -> None:
        if self._walk is None:
            return
        try:
            next(self._walk)
        except StopIteration as end:
            self._done = True
            values: tuple[PointerResult, ...] = end.value
            self._take(values)

    def _take(self, values: tuple[PointerResult, ...]) -> None:
        self._walk = None
        if any(isinstance(value, Unreadable) for value in values):
            self._tally.unreadable = True
        self._tally.take_values(values)

    def _source(self) -> Iterator[Piece]:
        """Give the parts that are there; an empty one, that costs a turn, where none is."""
        while True:
            if self._parts:
                yield Piece(self._parts.popleft(), last=False)
            else:
                yield Piece(b"", last=self._whole, work=WORK)
