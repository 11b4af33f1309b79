"""A journal of version 1 is read whole, also where it is damaged, and rewritten."""

from __future__ import annotations

import fcntl
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from sidecar.admission.credits import Lot
from sidecar.admission.journal_contents import read_contents
from sidecar.admission.journal_entries import Added, Entry, JournalUnwritable, Kept, Purpose
from sidecar.admission.journal_file import JournalFile
from sidecar.admission.journal_records import FILE_HEAD
from sidecar.admission.journal_version1 import FILE_HEAD as OLD_HEAD
from sidecar.domain.errors import UserError
from sidecar.domain.model import Charge
from tests.unit.admission.scene import NOW

ENTRIES = 9


def _entry(key: str) -> Entry:
    charge = Charge("org", "p", "ai_calls", 1, key, private=False)
    return Entry(charge, Purpose.REPORT, NOW, None, limited=True)


def _added(key: str) -> list[Any]:
    return ["added", ["org", "p", "ai_calls", 1, key], "report", NOW, None, True]


def _record(fields: list[Any]) -> bytes:
    payload = orjson.dumps(fields)
    return len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


def _file(*records: list[Any]) -> bytes:
    return OLD_HEAD + b"".join(map(_record, records))


def _keys(data: bytes) -> list[str]:
    frames = read_contents(data).frames
    return [each.record.entry.charge.key for each in frames if isinstance(each.record, Added)]


def test_what_it_owes_is_read_and_rewritten(tmp_path: Path) -> None:
    """Records of every kind add up; the file is of the present version then."""
    path = tmp_path / "journal"
    path.write_bytes(
        _file(
            *map(_added, "abc"), ["sent", "a", NOW], ["turned", "b"], ["gone", "c"],
            ["sent", "absent", NOW], ["turned", "absent"], ["gone", "absent"],
            ["kept", "org", "ai_calls", 5, NOW + 9],
        )
    )  # fmt: skip
    expected = [
        replace(_entry("a"), sent_at=NOW), replace(_entry("b"), purpose=Purpose.RECLAIM),
    ]  # fmt: skip
    with JournalFile(path) as journal:
        assert journal.entries() == journal.found == expected
        assert journal.kept == [Kept(Lot("org", "ai_calls", 5, NOW + 9))]
        assert journal.damaged_bytes == 0
        journal.append(Added(_entry("new")))
    assert path.read_bytes().startswith(FILE_HEAD)
    with JournalFile(path) as journal:
        assert journal.entries() == [*expected, _entry("new")]
        assert journal.kept == []


@pytest.mark.parametrize(("private", "fields"), [(None, 6), (False, 7), (True, 7)])
def test_an_entry_keeps_whether_its_key_is_private(
    tmp_path: Path, *, private: bool | None, fields: int
) -> None:
    """An entry written before the field existed has a key that other processes may share."""
    path = tmp_path / "journal"
    path.write_bytes(_file([*_added("k"), private][:fields]))
    for _ in range(2):  # as it was written, and as this version writes it
        with JournalFile(path) as journal:
            charge = replace(_entry("k").charge, private=bool(private))
            assert journal.entries() == [replace(_entry("k"), charge=charge)]


def test_a_process_of_an_earlier_version_holds_its_file(tmp_path: Path) -> None:
    """In a rolling upgrade the new process starts while the old one still writes."""
    path = tmp_path / "journal"
    path.write_bytes(_file(_added("a")))
    with (tmp_path / "journal.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process holds it"):
            JournalFile(path)
        assert path.read_bytes() == _file(_added("a"))
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry("a")]


def test_without_room_to_rewrite_it_waits(tmp_path: Path) -> None:
    """It is held and read; nothing can be marked in it, so nothing of it is sent."""
    path = tmp_path / "journal"
    path.write_bytes(_file(_added("a"), ["kept", "org", "ai_calls", 5, NOW + 9]))
    (tmp_path / "journal.new").mkdir()
    with JournalFile(path) as journal:
        assert journal.problem
        assert journal.entries() == [_entry("a")]
        assert journal.kept == []
        with pytest.raises(JournalUnwritable):
            journal.append(Added(_entry("b")))
        with pytest.raises(UserError, match="another process holds it"):
            JournalFile(path)
        (tmp_path / "journal.new").rmdir()
        journal.recover()
        assert journal.problem == ""
        assert journal.kept == [Kept(Lot("org", "ai_calls", 5, NOW + 9))]
        journal.append(Added(_entry("b")))
        assert journal.entries() == [_entry("a"), _entry("b")]


def test_each_bit_that_flips_costs_at_most_its_record_and_is_reported() -> None:
    """Conformance 53, for a file that an earlier version has left."""
    keys = [f"key-{number}" for number in range(ENTRIES)]
    records = [_record(_added(key)) for key in keys]
    whole = bytearray(OLD_HEAD + b"".join(records))
    hits = [-1] * len(OLD_HEAD)
    for number, record in enumerate(records):
        hits += [number] * len(record)
    for bit in range(8 * len(whole)):
        whole[bit // 8] ^= 1 << bit % 8
        left = [key for number, key in enumerate(keys) if number != hits[bit // 8]]
        assert _keys(bytes(whole)) == left, bit
        assert read_contents(bytes(whole)).damage or hits[bit // 8] < 0, bit
        whole[bit // 8] ^= 1 << bit % 8


def test_each_truncation_keeps_every_whole_record() -> None:
    """A torn tail is no damage, unless it ends like a whole record."""
    records = [_record(_added(key)) for key in ("a", "b")]
    whole = OLD_HEAD + b"".join(records)
    for cut in range(8, len(whole) + 1):
        survivors = sum(cut >= 8 + len(b"".join(records[: n + 1])) for n in range(2))
        assert _keys(whole[:cut]) == ["a", "b"][:survivors]
        torn = read_contents(whole[:cut]).damage
        assert not torn or torn.endswith(b"]")


def test_names_that_look_like_records_are_none() -> None:
    """Names come from tokens, and must not be read as records behind damage."""
    charge = ["added", ["gone", "k"], '["gone","k"]', 1, "k"]
    record = _record(["added", charge, "report", NOW, None, True])
    damaged = record[:8] + b"x" + record[9:]
    contents = read_contents(OLD_HEAD + damaged + _record(_added("a")))
    assert [each.record for each in contents.frames] == [Added(_entry("a"))]
    assert contents.damage == damaged


def test_a_record_of_an_unknown_kind_is_of_another_version(tmp_path: Path) -> None:
    """An older sidecar must not drop what a newer one owes."""
    path = tmp_path / "journal"
    path.write_bytes(_file(["forgiven", "k"]))
    with pytest.raises(UserError, match="unknown kind"):
        JournalFile(path)
