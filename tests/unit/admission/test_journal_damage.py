"""A damaged journal: nothing is lost but the record that is hit, and it is reported."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Entry, Purpose
from sidecar.admission.journal_file import JournalFile, keep_aside
from sidecar.admission.journal_records import (
    FILE_HEAD,
    Frame,
    encode,
    encode_marks,
    place_of,
    read_contents,
)
from sidecar.domain.model import Charge
from tests.unit.admission.scene import NOW

ENTRIES = 9
"""Enough that each kind is among them, sent and not, to report and to reclaim, and one is gone."""
HEAD_BYTES = 16
MARKS_BYTES = 16


def _entry(number: int) -> Entry:
    """Return an entry; every fourth was sent, every fifth is one to reclaim."""
    return Entry(
        Charge(f"org-{number}", "p", "ai_calls", 1 + number, f"key-{number}", bool(number % 2)),
        Purpose.REPORT if number % 5 else Purpose.RECLAIM,
        NOW + number,
        None if number % 4 else NOW + 2 * number,
        limited=True,
    )


def _records() -> list[Entry | Lot]:
    return [*(_entry(n) for n in range(ENTRIES)), Lot("org", "ai_calls", 3, NOW)]


def _frames() -> list[bytes]:
    """Encode the records; the entry 7 and a second credit are gone."""
    frames = [encode(record) for record in [*_records(), Lot("org", "spent", 9, NOW)]]
    for number in (7, -1):
        place = place_of(frames[number], 0)
        marks = slice(place.marks_offset, place.marks_offset + MARKS_BYTES)
        frames[number] = (
            frames[number][: marks.start]
            + encode_marks(None, place.seal)
            + frames[number][marks.stop :]
        )
    return frames


def _expected() -> list[Entry | Lot]:
    return [record for number, record in enumerate(_records()) if number != 7]


def _read(data: bytes) -> list[Entry | Lot]:
    return [frame.record for frame in read_contents(data).frames]


def test_each_bit_that_flips_costs_at_most_its_record_and_is_reported() -> None:
    """Conformance 53: a flipped length made the rest of the file disappear in silence."""
    frames, records = _frames(), [*_records(), None]
    whole = bytearray(FILE_HEAD + b"".join(frames))
    hits = [(0, -1)] * len(FILE_HEAD)
    for number, frame in enumerate(frames):
        hits += [(place, number) for place in range(len(frame))]
    for bit in range(8 * len(whole)):
        whole[bit // 8] ^= 1 << bit % 8
        place, number = hits[bit // 8]
        left = [record for n, record in enumerate(records) if n not in {7, number} and record]
        hit = records[number] if number >= 0 else None
        if isinstance(hit, Entry) and HEAD_BYTES <= place < HEAD_BYTES + MARKS_BYTES:
            # Only its marks: asked again under its key, it is not counted twice. One to settle
            # may have become a credit already.
            sent_at = hit.sent_at or hit.at
            if hit.purpose is Purpose.REPORT:
                left.insert(number - (number > 7), replace(hit, sent_at=sent_at))
        assert _read(bytes(whole)) == left, bit
        assert read_contents(bytes(whole)).damage, bit
        whole[bit // 8] ^= 1 << bit % 8
    assert _read(bytes(whole)) == _expected()
    assert read_contents(bytes(whole)).damage == b""


def test_a_credit_with_damaged_marks_is_not_spent() -> None:
    """It may have been spent before: a credit is spent at most once."""
    frame = bytearray(encode(Lot("org", "ai_calls", 3, NOW)))
    frame[HEAD_BYTES + 9] ^= 1
    assert _read(FILE_HEAD + frame) == []
    assert read_contents(FILE_HEAD + frame).damage


def test_each_truncation_keeps_every_whole_record_and_is_no_damage() -> None:
    """A write that was cut off is the end of a file, whatever came of it, also before zeros."""
    frames = _frames()[:3]
    whole = FILE_HEAD + b"".join(frames)
    ends = [len(FILE_HEAD) + sum(map(len, frames[: n + 1])) for n in range(3)]
    for cut in range(len(whole) + 1):
        assert _read(whole[:cut]) == _records()[: sum(end <= cut for end in ends)]
        assert read_contents(whole[:cut]).damage == b""
    assert read_contents(whole + bytes(1000)).damage == b""
    assert read_contents(whole + bytes(1000)).size == len(whole)


@pytest.mark.parametrize("length", [1, 15, 16, 40, 700])
def test_other_bytes_at_the_end_are_damage(length: int) -> None:
    """They are no beginning of a record."""
    whole = FILE_HEAD + _frames()[0]
    assert len(read_contents(whole + b"x" * length).damage) == length
    marker = _frames()[0][:4]
    assert read_contents(whole + marker + b"x" * 20).damage == marker + b"x" * 20


def test_records_behind_damage_are_recovered_and_the_damage_is_kept_aside(tmp_path: Path) -> None:
    """What cannot be read is for a person to look at, in a file that only its owner may read."""
    path = tmp_path / "journal"
    data = bytearray(FILE_HEAD + b"".join(encode(_entry(n)) for n in range(3)))
    middle = place_of(encode(_entry(1)), 0).size
    start = len(FILE_HEAD) + place_of(encode(_entry(0)), 0).size
    data[start + 5] ^= 0xFF
    path.write_bytes(data)
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry(0), _entry(2)]
        assert journal.damaged_bytes == middle
        assert journal.damage is not None
        aside = journal.damage.kept_in
        assert not journal.problem
    assert aside == tmp_path / "journal.damaged"
    assert aside.read_bytes() == data[start : start + middle]
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry(0), _entry(2)]
        assert journal.damaged_bytes == 0


def test_a_second_damage_does_not_overwrite_the_first(tmp_path: Path) -> None:
    """Each has a file of its own."""
    path = tmp_path / "journal"
    for text in (b"first" * 9, b"second" * 9):
        path.write_bytes(FILE_HEAD + text)
        JournalFile(path).close()
    assert (tmp_path / "journal.damaged").read_bytes() == b"first" * 9
    assert (tmp_path / "journal.damaged.2").read_bytes() == b"second" * 9


def test_damage_that_cannot_be_moved_stays_and_the_file_is_used(tmp_path: Path) -> None:
    """Without room for a new file, entries are added behind the damage."""
    path = tmp_path / "journal"
    frame = encode(_entry(0))
    path.write_bytes(FILE_HEAD + b"damage" + frame + b"more damage")
    (tmp_path / "journal.new").mkdir()
    for _ in range(2):
        with JournalFile(path) as journal:
            assert journal.damage is not None
            assert journal.damage.kept_in == path
            journal.append(_entry(1))
            assert journal.entries() == [_entry(0), _entry(1)]
    assert not (tmp_path / "journal.damaged").exists()


def test_what_cannot_be_kept_aside_does_not_stop_the_start(tmp_path: Path) -> None:
    """The bytes are reported all the same."""
    assert keep_aside(tmp_path / "absent" / "journal", b"damage") is None


@pytest.mark.parametrize("fault", ["raises", "short"])
def test_what_is_kept_aside_in_part_is_deleted(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk it stays in the journal."""

    def write(_fd: int, data: bytes) -> int:
        if fault == "raises":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data) - 1

    monkeypatch.setattr("os.write", write)
    assert keep_aside(tmp_path / "journal", b"damage") is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is, and is not held."""
    path = tmp_path / "journal"
    JournalFile(path).close()

    def failing(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr("os.dup", failing)
        journal = JournalFile(path)
        assert "Input/output error" in journal.problem
    JournalFile(path).close()
    journal.close()


def test_a_damaged_file_head_is_repaired(tmp_path: Path) -> None:
    """A file that holds a record of ours is a journal, whatever its first bytes are."""
    path = tmp_path / "journal"
    path.write_bytes(b"?" + FILE_HEAD[1:] + encode(_entry(0)))
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry(0)]
        assert journal.damaged_bytes == len(FILE_HEAD)
    assert path.read_bytes().startswith(FILE_HEAD)


def test_a_place_covers_its_frame() -> None:
    """Marks lie in one unit of the file, so that no write of them is half done."""
    frame = encode(_entry(3))
    assert len(frame) % 32 == 0
    contents = read_contents(FILE_HEAD + frame)
    assert contents.frames == (Frame(place_of(frame, len(FILE_HEAD)), _entry(3)),)
