"""Reading JSON bodies with the sidecar's reader, for several tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.policy.json_pointer import JsonPointer, PointerResult
from sidecar.policy.json_reader import WORK, JsonReader
from sidecar.policy.json_text import PIECE, Piece, pieces_of


@dataclass(frozen=True)
class Reading:
    """What was found, and in how many slices."""

    findings: tuple[PointerResult, ...]
    slices: int


def read(body: bytes, *pointers: str, work: int = WORK, piece: int = PIECE) -> Reading:
    """Read a body along pointers to its end."""
    return read_pieces(pieces_of(body, piece), *pointers, work=work)


def read_pieces(
    pieces: Iterator[Piece], *pointers: str, work: int = WORK, window: int = 2048
) -> Reading:
    """Read a body that comes in pieces."""
    reading = JsonReader([JsonPointer.parse(each) for each in pointers]).read(
        pieces, work=work, window=window
    )
    slices = 1
    while True:
        try:
            next(reading)
        except StopIteration as end:
            findings: tuple[PointerResult, ...] = end.value
            return Reading(findings, slices)
        slices += 1


def find(body: bytes, pointer: str) -> PointerResult:
    """Return what one pointer finds."""
    return read(body, pointer).findings[0]
