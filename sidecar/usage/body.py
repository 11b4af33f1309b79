"""An answer that is one JSON document, of any length, read as it passes.

A short one is parsed when it ends. A long one is not kept: the policy's reader walks it, along the
pointers of the format.
"""

from __future__ import annotations

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

JsonWalking = Generator[None, None, tuple[PointerResult, ...]]


class BodyReader:
    """Reads the usage of one document."""

    def __init__(self, tally: UsageTally) -> None:
        self._tally = tally
        self._kept = bytearray()
        self._walk: JsonWalking | None = None
        self._next = b""  # what the walk takes next
        self._whole = False
        self._done = False

    def feed(self, text: bytes) -> None:
        """Take the next part of the body."""
        if self._walk is not None:
            self._push(self._walk, text)
        elif not self._done:
            self._kept += text
            if len(self._kept) > KEPT:
                self._walk = JsonReader(self._tally.pointers()).read(self._source())
                self._push(self._walk, bytes(self._kept))
                self._kept.clear()

    def end(self) -> None:
        """Take the body as whole."""
        self._whole = True
        while self._walk is not None:
            self._step(self._walk)
        if self._kept:
            take_document(self._tally, bytes(self._kept))
            self._kept.clear()

    def _push(self, walk: JsonWalking, text: bytes) -> None:
        for at in range(0, len(text), PIECE):
            self._next = text[at : at + PIECE]
            for _ in range(_MOST_STEPS):
                self._step(walk)
                if self._done:
                    return
                if not self._next:
                    break
            else:  # look at nothing more: it would hold the loop
                self._tally.too_large = True
                self._finish()
                return

    def _step(self, walk: JsonWalking) -> None:
        try:
            next(walk)
        except StopIteration as end:
            values: tuple[PointerResult, ...] = end.value
            if any(isinstance(value, Unreadable) for value in values):
                self._tally.unreadable = True
            self._tally.take_values(values)
            self._finish()

    def _finish(self) -> None:
        self._done, self._walk, self._next = True, None, b""

    def _source(self) -> Iterator[Piece]:
        """Give what is there; an empty piece, that costs a turn, where nothing is."""
        while True:
            if self._next:
                taken, self._next = self._next, b""
                yield Piece(taken, last=False)
            else:
                yield Piece(b"", last=self._whole, work=WORK)
