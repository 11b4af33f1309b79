"""Reads a journal of version 1, to be written again as the present version. Pure.

It is a log: records of a 4-byte length, a 4-byte CRC-32 and a JSON array, the numbers big-endian.
Entries and their marks are records of their own, and the last word on an entry is the last record.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never
from zlib import crc32

import orjson

from sidecar.admission.journal_entries import (
    Added,
    Entry,
    Gone,
    Kept,
    Purpose,
    Record,
    Sent,
    Surplus,
    Turned,
)
from sidecar.admission.journal_records import MAGIC, record_of

FILE_HEAD: Final = MAGIC + b"\x01"
"""What a journal of version 1 begins with."""

_MAX_PAYLOAD: Final = 64 * 1024
_HEAD: Final = struct.Struct(">II")
_PAYLOAD: Final = re.compile(rb'\["(?:added|sent|turned|gone|kept)"')
"""How a payload begins. Within a JSON string its quotes would be escaped."""


@dataclass(frozen=True, slots=True)
class ScannedVersion1:
    """What bytes hold, and the first and the last byte but one of each run that cannot be read."""

    records: tuple[Record, ...]
    damage: tuple[tuple[int, int], ...]


def scan(data: bytes) -> ScannedVersion1:
    """Read a file. ValueError when a whole record is of an unknown kind."""
    records: list[Record] = []
    damage = [] if data.startswith(FILE_HEAD) else [(0, len(FILE_HEAD))]
    at = len(FILE_HEAD)
    while (start := _next_record(data, at)) is not None:
        if start > at:
            damage.append((at, start))
        at = _end(data, start)
        records.append(record_of(orjson.loads(data[start + _HEAD.size : at])))
    if not _torn(data[at:]):
        damage.append((at, len(data)))
    return ScannedVersion1(tuple(records), tuple(damage))


def holds_records(data: bytes) -> bool:
    """Say whether there is any whole record, whatever the file begins with."""
    return _next_record(data, 0) is not None


def balance_of(records: Iterable[Record]) -> list[Added | Kept]:
    """Add up records in their order: what is owed, oldest first, then credits."""
    entries: dict[str, Entry] = {}
    kept: list[Kept] = []
    for record in records:
        match record:
            case Added(entry):
                entries[entry.charge.key] = entry
            case Sent(key, at):
                _change(entries, key, sent_at=at)
            case Turned(key):
                _change(entries, key, purpose=Purpose.RECLAIM)
            case Surplus(key, units):
                _change(entries, key, surplus=units)
            case Gone(key):
                entries.pop(key, None)
            case Kept():
                kept.append(record)
            case _:
                assert_never(record)
    return [*map(Added, entries.values()), *kept]


def _change(entries: dict[str, Entry], key: str, **changes: Any) -> None:  # noqa: ANN401
    if key in entries:
        entries[key] = replace(entries[key], **changes)


def _next_record(data: bytes, at: int) -> int | None:
    """Return where the next whole record begins, at `at` or behind it."""
    if _whole(data, at):
        return at
    for found in _PAYLOAD.finditer(data, at + _HEAD.size):
        start = found.start() - _HEAD.size
        if _whole(data, start):
            return start
    return None


def _whole(data: bytes, at: int) -> bool:
    end = _end(data, at)
    if not at + _HEAD.size < end <= len(data):
        return False
    _, checksum = _HEAD.unpack_from(data, at)
    return bool(crc32(data[at + _HEAD.size : end]) == checksum)


def _end(data: bytes, at: int) -> int:
    """Return where the record at `at` ends, by its length; `at` when that cannot be."""
    if len(data) - at < _HEAD.size:
        return at
    length, _ = _HEAD.unpack_from(data, at)
    return at + _HEAD.size + int(length) if length <= _MAX_PAYLOAD else at


def _torn(rest: bytes) -> bool:
    """Say whether the rest is nothing, or the beginning of a record; a whole one ends in `]`."""
    return len(rest) <= _HEAD.size or (_end(rest, 0) > len(rest) and not rest.endswith(b"]"))
