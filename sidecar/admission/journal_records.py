"""The journal's bytes: frames that are found again behind damage, and marks written in place. Pure.

A file is `FILE_HEAD` and then frames. A frame holds one entry or credit:

    head     16 bytes: marker, length of the payload, its CRC-32, CRC-32 of these three
    marks    16 bytes: sent_at (NaN: none), flags with the surplus, CRC-32 of these two and the head
    payload  a JSON array, filled up with spaces to a multiple of 32 bytes

Numbers are big-endian. What happens to an entry later overwrites its marks: a mark needs no room
on the disk. Marks lie in one 32-byte unit of the file, so that no write of them is half done.
The marker is no UTF-8 and therefore in no payload: it shows where the next frame begins.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never
from zlib import crc32

import orjson

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Entry, Purpose, Settlement
from sidecar.domain.model import Charge

MAGIC: Final = b"BBSJ\x00\x00\x00"
"""What a journal of any version begins with; another one is not overwritten."""

UNIT: Final = 32
"""Every frame begins at a multiple of this many bytes, unless bytes were lost before it."""

FILE_HEAD: Final = (MAGIC + b"\x02").ljust(UNIT, b"\x00")
"""What a journal of this version begins with."""

_MARKER: Final = b"\xffBJ\xfe"
_HEAD: Final = struct.Struct(">4sIII")
_MARKS: Final = struct.Struct(">dII")
_MARKED: Final = struct.Struct(">dI")
_GONE: Final = 1
_TURNED: Final = 2
_SURPLUS_BIT: Final = 2  # where the surplus begins in the flags

MOST_SURPLUS: Final = (1 << (32 - _SURPLUS_BIT)) - 1
"""Units of a surplus that are remembered over a restart; what is more is lost by it."""

_EXECUTED: Final = frozenset({Purpose.REPORT, Purpose.OWED})


@dataclass(frozen=True, slots=True)
class FramePlace:
    """Where a frame lies: its first byte and its length; `seal` ties its marks to its head."""

    offset: int
    size: int
    seal: int

    @property
    def marks_offset(self) -> int:
        """Where its marks begin."""
        return self.offset + _HEAD.size


@dataclass(frozen=True, slots=True)
class Frame:
    """An entry or a credit that is not gone, and its place."""

    place: FramePlace
    record: Entry | Lot


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, and where the next frame can be written. `damage`: bytes of no record."""

    frames: tuple[Frame, ...]
    damage: bytes
    size: int


def encode(record: Entry | Lot) -> bytes:
    """Return a frame. ValueError when its names are no Unicode."""
    try:
        payload = orjson.dumps(_fields(record))
    except orjson.JSONEncodeError as error:
        raise ValueError(f"a journal record cannot be written as JSON: {error}") from error
    payload = payload.ljust(-(-len(payload) // UNIT) * UNIT)
    head = struct.pack(">4sII", _MARKER, len(payload), crc32(payload))
    seal = crc32(head)
    return head + seal.to_bytes(4, "big") + encode_marks(record, seal) + payload


def place_of(frame: bytes, offset: int) -> FramePlace:
    """Return the place of a frame that is written at `offset`."""
    *_, seal = _HEAD.unpack_from(frame)
    return FramePlace(offset, len(frame), seal)


def encode_marks(record: Entry | Lot | None, seal: int) -> bytes:
    """Return the marks of a record as it is now; None: it is gone."""
    sent_at, flags = math.nan, _GONE if record is None else 0
    if isinstance(record, Entry):
        sent_at = math.nan if record.sent_at is None else record.sent_at
        flags = _TURNED if record.purpose is Purpose.RECLAIM else 0
        flags |= min(MOST_SURPLUS, record.surplus) << _SURPLUS_BIT
    marked = _MARKED.pack(sent_at, flags)
    return marked + crc32(marked, seal).to_bytes(4, "big")


def read_contents(data: bytes) -> Contents:
    """Read a file. ValueError when it is no journal, or one of another version.

    A file that holds a whole frame is a journal, whatever it begins with.
    """
    if FILE_HEAD.startswith(data):
        return Contents((), b"", 0)  # empty, or torn at its first write
    damage = bytearray()
    if not data.startswith(FILE_HEAD):
        if _next_frame(data, 0) is None:
            raise ValueError("of another version" if data.startswith(MAGIC) else "not a journal")
        damage += data[:UNIT]
    frames: list[Frame] = []
    at = UNIT
    while (start := _next_frame(data, at)) is not None:
        damage += data[at:start]
        at = _read_frame(data, start, frames, damage)
    if not _torn(data[at:]):
        damage += data[at:]
        at = len(data)
    return Contents(tuple(frames), bytes(damage), -(-at // UNIT) * UNIT)


def _next_frame(data: bytes, at: int) -> int | None:
    """Return where the next whole frame begins, at `at` or behind it."""
    while (at := data.find(_MARKER, at)) >= 0:
        length = _payload_length(data, at)
        start = at + _HEAD.size + _MARKS.size
        if length is not None and start + length <= len(data):
            *_, checksum, _ = _HEAD.unpack_from(data, at)
            if crc32(memoryview(data)[start : start + length]) == checksum:
                return at
        at += 1
    return None


def _payload_length(data: bytes, at: int) -> int | None:
    """Return the length that a whole head at `at` gives."""
    if len(data) - at < _HEAD.size:
        return None
    marker, length, _, seal = _HEAD.unpack_from(data, at)
    if marker != _MARKER or crc32(data[at : at + _HEAD.size - 4]) != seal:
        return None
    return int(length)


def _read_frame(data: bytes, at: int, frames: list[Frame], damage: bytearray) -> int:
    """Read the whole frame at `at`, unless it is gone; return where it ends."""
    _, length, _, seal = _HEAD.unpack_from(data, at)
    payload = at + _HEAD.size + _MARKS.size
    end = payload + int(length)
    sent_at, flags, checksum = _MARKS.unpack_from(data, at + _HEAD.size)
    marked = data[at + _HEAD.size : payload - 4]
    whole = crc32(marked, seal) == checksum
    if not whole:
        damage += data[at + _HEAD.size : payload]
    if whole and flags & _GONE:
        return end
    record = _record_of(orjson.loads(data[payload:end]))
    place = FramePlace(at, end - at, seal)
    match record:
        case Entry() as entry if whole:
            purpose = Purpose.RECLAIM if flags & _TURNED else entry.purpose
            sent = None if math.isnan(sent_at) else sent_at
            surplus = flags >> _SURPLUS_BIT
            read = replace(entry, purpose=purpose, sent_at=sent, surplus=surplus)
            frames.append(Frame(place, read))
        case Entry() as entry if entry.purpose in _EXECUTED:
            # It may have been sent, at any time since it began. Asked again under its key it is
            # not counted twice.
            sent = entry.at if entry.sent_at is None else entry.sent_at
            frames.append(Frame(place, replace(entry, sent_at=sent)))
        case Lot() if whole:
            frames.append(Frame(place, record))
        case Entry() | Lot():
            pass  # it may be a credit that was spent, or a call that was settled: not twice
    return end


def _torn(rest: bytes) -> bool:
    """Say whether the rest is nothing, or the beginning of one frame: a write that was cut off."""
    if not rest.strip(b"\x00"):
        return True
    if len(rest) < _HEAD.size:
        return _MARKER.startswith(rest[: len(_MARKER)])
    length = _payload_length(rest, 0)
    return length is not None and len(rest) < _HEAD.size + _MARKS.size + length


def _record_of(fields: list[Any]) -> Entry | Lot:
    """Return the record that a payload holds. ValueError when it is of no known kind."""
    match fields:
        case ["added", charge, purpose, at, sent_at, limited, private, *settlement]:
            org_id, product, resource, amount, key = charge
            owed = Charge(org_id, product, resource, amount, key, private)
            of = Settlement(*settlement[0]) if settlement else None
            return Entry(owed, Purpose(purpose), at, sent_at, limited, of)
        case ["kept", org_id, resource, units, good_until]:
            return Lot(org_id, resource, units, good_until)
        case _:
            raise ValueError(f"a journal record of an unknown kind: {str(fields)[:80]}")


def _fields(record: Entry | Lot) -> list[Any]:
    match record:
        case Entry() as entry:
            charge, of = entry.charge, entry.settlement
            settlement = [] if of is None else [[of.call, of.route, of.forgive, of.tries]]
            return [
                "added",
                [charge.org_id, charge.product, charge.resource, charge.amount, charge.key],
                entry.purpose,
                entry.at,
                entry.sent_at,
                entry.limited,
                charge.private,
                *settlement,
            ]
        case Lot() as lot:
            return ["kept", lot.org_id, lot.resource, lot.units, lot.good_until]
    assert_never(record)
