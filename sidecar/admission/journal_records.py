"""The journal's bytes: framed records with a checksum, and what a run of them adds up to. Pure.

A file is `MAGIC` and then records, each of a 4-byte length, a 4-byte CRC-32 and a JSON array, the
numbers big-endian. A crash can leave the last record torn; nothing before it is lost by that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never
from zlib import crc32

import orjson

from sidecar.admission.credits import Lot
from sidecar.admission.journal import Added, Entry, Gone, Kept, Purpose, Record, Sent, Turned
from sidecar.model import Charge

MAGIC: Final = b"BBSJ\x00\x00\x00\x01"
"""What a journal begins with; the last byte is the format's version."""

MAX_PAYLOAD: Final = 64 * 1024
"""No record is longer, in bytes: a length beyond it is damage."""

_HEAD: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What bytes hold: the records, how many bytes those take, and whether the rest is damage.

    A rest that is merely too short is a torn tail, and no damage.
    """

    records: tuple[Record, ...]
    good: int
    damaged: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What a run of records leaves: entries by key, and credits to carry on."""

    entries: dict[str, Entry]
    kept: list[Kept]


def encode(record: Record) -> bytes:
    """Return one record's bytes. ValueError when its names are absurdly long or no Unicode."""
    try:
        payload = orjson.dumps(_fields(record))
    except orjson.JSONEncodeError as error:
        raise ValueError(f"a journal record cannot be written as JSON: {error}") from error
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a journal record of {len(payload)} bytes is over {MAX_PAYLOAD}")
    return _HEAD.pack(len(payload), crc32(payload)) + payload


def scan(data: bytes) -> Scanned:
    """Read records, after `MAGIC`, up to the first that is not whole."""
    records: list[Record] = []
    at = 0
    while len(data) - at >= _HEAD.size:
        length, checksum = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        payload = data[start : start + length]
        if length <= MAX_PAYLOAD and len(payload) < length:
            return Scanned(tuple(records), at, damaged=False)
        if length > MAX_PAYLOAD or crc32(payload) != checksum:
            return Scanned(tuple(records), at, damaged=True)
        records.append(_record(orjson.loads(payload)))
        at = start + length
    return Scanned(tuple(records), at, damaged=False)


def apply(balance: Balance, record: Record) -> None:
    """Add one record to a balance. What names an unknown key changes nothing."""
    entries = balance.entries
    match record:
        case Added(entry):
            entries[entry.charge.key] = entry
        case Sent(key, at):
            if key in entries:
                entries[key] = replace(entries[key], sent_at=at)
        case Turned(key):
            if key in entries:
                entries[key] = replace(entries[key], purpose=Purpose.SETTLE)
        case Gone(key):
            entries.pop(key, None)
        case Kept():
            balance.kept.append(record)
        case _:
            assert_never(record)


def balance_of(records: Iterable[Record]) -> Balance:
    """Add up records in their order."""
    balance = Balance({}, [])
    for record in records:
        apply(balance, record)
    return balance


def _fields(record: Record) -> list[Any]:
    match record:
        case Added(entry):
            charge = entry.charge
            return [
                "added",
                [charge.org_id, charge.product, charge.resource, charge.amount, charge.key],
                entry.purpose,
                entry.at,
                entry.sent_at,
                entry.limited,
                charge.private,
            ]
        case Sent(key, at):
            return ["sent", key, at]
        case Turned(key):
            return ["turned", key]
        case Gone(key):
            return ["gone", key]
        case Kept(lot):
            return ["kept", lot.org_id, lot.resource, lot.units, lot.good_until]
    assert_never(record)


def _record(fields: list[Any]) -> Record:
    match fields:
        case ["added", charge, purpose, at, sent_at, limited, *later]:
            private = bool(
                later and later[0]
            )  # older versions did not say: then nothing is given back
            org_id, product, resource, amount, key = charge
            owed = Charge(org_id, product, resource, amount, key, private)
            return Added(Entry(owed, Purpose(purpose), at, sent_at, limited))
        case ["sent", key, at]:
            return Sent(key, at)
        case ["turned", key]:
            return Turned(key)
        case ["gone", key]:
            return Gone(key)
        case ["kept", org_id, resource, units, good_until]:
            return Kept(Lot(org_id, resource, units, good_until))
        case _:
            raise ValueError(f"a journal record of an unknown kind: {str(fields)[:80]}")
