"""The journal's file: it survives being cut, filled, locked and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.admission.books import Books
from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import (
    Changed,
    Entry,
    Gone,
    JournalUnwritable,
    Purpose,
)
from sidecar.admission.journal_file import JournalFile
from sidecar.admission.journal_frames import COMPACT_BYTES
from sidecar.admission.journal_records import FILE_HEAD, MOST_SURPLUS, encode, encode_marks
from sidecar.admission.moment import Moment
from sidecar.domain.errors import UserError
from sidecar.domain.model import Charge, Loss, Unreported
from tests.fakes.admission import RememberingObserver
from tests.unit.admission.scene import NOW


def _entry(key: str, *, sent_at: float | None = None) -> Entry:
    return Entry(
        Charge("org", "p", "ai_calls", 1, key, private=True),
        Purpose.REPORT,
        NOW,
        sent_at,
        limited=True,
    )


def _keys(journal: JournalFile) -> list[str]:
    return [entry.charge.key for entry in journal.entries()]


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    """Entries as they were, minus what is gone."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        for key in ("a", "b", "c"):
            journal.append(_entry(key))
        journal.append(Gone("a"))
        journal.append(Changed(_entry("b", sent_at=NOW + 1)))
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry("b", sent_at=NOW + 1), _entry("c")]


def test_a_journal_that_owes_nothing_is_left_empty(tmp_path: Path) -> None:
    """A person who looks sees that nothing is owed."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        journal.append(Gone("a"))
        assert path.stat().st_size
    assert path.stat().st_size == 0


def test_credits_are_handed_over_once(tmp_path: Path) -> None:
    """Taken over into memory, they must not be found again after a crash."""
    path = tmp_path / "journal"
    lot = Lot("org", "ai_calls", 5, NOW + 100)
    with JournalFile(path) as journal:
        journal.append(lot)
    with JournalFile(path) as journal:
        assert journal.kept == [lot]
    with JournalFile(path) as journal:
        assert journal.kept == []


def test_a_file_cut_at_any_byte_keeps_every_whole_record(tmp_path: Path) -> None:
    """Conformance 37: killed at any moment of a write."""
    whole = [encode(_entry(key)) for key in ("a", "b", "c")]
    data = FILE_HEAD + b"".join(whole)
    ends = [len(FILE_HEAD) + sum(map(len, whole[: n + 1])) for n in range(3)]
    for cut in range(len(data) + 1):
        path = tmp_path / f"journal{cut}"
        path.write_bytes(data[:cut])
        with JournalFile(path) as journal:
            assert _keys(journal) == ["a", "b", "c"][: sum(end <= cut for end in ends)]
            assert journal.damaged_bytes == 0
            journal.append(_entry("new"))
        with JournalFile(path) as journal:
            assert _keys(journal)[-1] == "new"
            assert journal.damaged_bytes == 0


def test_each_mark_is_there_after_opening_again(tmp_path: Path) -> None:
    """The last word on an entry counts, and takes no room in the file."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        size = path.stat().st_size
        sent = _entry("a", sent_at=NOW + 2)
        changed = [
            _entry("a", sent_at=NOW + 1),
            _entry("a"),
            sent,
            replace(sent, surplus=7),
            replace(sent, purpose=Purpose.RECLAIM),
        ]
    for entry in changed:
        with JournalFile(path) as journal:
            journal.append(Changed(entry))
            journal.append(Gone("another"))
            assert journal.entries() == [entry]
        with JournalFile(path) as journal:
            assert journal.entries() == [entry]
        assert path.stat().st_size == size


def test_a_surplus_outlives_a_rewriting_and_is_bounded(tmp_path: Path) -> None:
    """It lies in the marks, which a full disk takes too."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        journal.append(_entry("b"))
        journal.append(Changed(replace(_entry("a"), surplus=7)))
        journal.append(Changed(replace(_entry("b"), surplus=1 << 40)))
    path.rename(tmp_path / "old")  # its name is lost, so that it is written again
    with JournalFile(tmp_path / "old") as journal:
        (tmp_path / "old").unlink()
        journal.recover()
    with JournalFile(tmp_path / "old") as journal:
        assert [entry.surplus for entry in journal.entries()] == [7, MOST_SURPLUS]


def test_a_second_process_cannot_have_the_file(tmp_path: Path) -> None:
    """Two processes in one journal would report each other's entries."""
    with (
        JournalFile(tmp_path / "journal"),
        pytest.raises(UserError, match="another process holds it"),
    ):
        JournalFile(tmp_path / "journal")


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    """A path given by mistake keeps its content."""
    path = tmp_path / "notes.txt"
    path.write_text("my notes, not a journal")
    with pytest.raises(UserError, match="not a journal"):
        JournalFile(path)
    assert path.read_text() == "my notes, not a journal"


def test_a_path_that_cannot_be_a_journal_is_a_users_error(tmp_path: Path) -> None:
    """It names the path and the fix."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("absent/journal", "fifo", "loop", "fifo/journal", "."):
        with pytest.raises(UserError, match="writable directory"):
            JournalFile(tmp_path / name)


def test_a_record_of_an_unknown_kind_is_a_users_error(tmp_path: Path) -> None:
    """An older sidecar must not drop what a newer one owes."""
    path = tmp_path / "journal"
    frame = encode(_entry("a"))
    payload = frame[32:].replace(b'"added"', b'"later"')
    head = frame[:8] + zlib.crc32(payload).to_bytes(4, "big")
    seal = zlib.crc32(head)
    marks = encode_marks(_entry("a"), seal)
    path.write_bytes(FILE_HEAD + head + seal.to_bytes(4, "big") + marks + payload)
    with pytest.raises(UserError, match="unknown kind"):
        JournalFile(path)
    path.write_bytes(FILE_HEAD[:7] + b"\x09" + b"of tomorrow")
    with pytest.raises(UserError, match="another version"):
        JournalFile(path)


def test_a_long_file_of_what_is_gone_is_rewritten(tmp_path: Path) -> None:
    """The file follows what is owed, not what has ever been."""
    path = tmp_path / "journal"
    frame = len(encode(_entry("k")))
    with JournalFile(path) as journal:
        journal.append(_entry("stays"))
        for _ in range(COMPACT_BYTES // frame + 1):
            journal.append(_entry("k"))
            journal.append(Gone("k"))
        assert path.stat().st_size < 20 * frame
    with JournalFile(path) as journal:
        assert _keys(journal) == ["stays"]


def test_many_entries_are_rewritten_whole(tmp_path: Path) -> None:
    """A long file is written in pieces."""
    path = tmp_path / "journal"
    keys = [f"k{number}" for number in range(4000)]
    path.write_bytes(FILE_HEAD + b"".join(encode(_entry(key)) for key in keys) + b"damage")
    for damaged in (6, 0):
        with JournalFile(path) as journal:
            assert journal.damaged_bytes == damaged
            assert _keys(journal) == keys
            journal.append(Changed(_entry(keys[-1], sent_at=NOW)))
    with JournalFile(path) as journal:
        assert journal.entries()[-1] == _entry(keys[-1], sent_at=NOW)


def test_a_file_that_cannot_be_rewritten_goes_on_as_it_is(tmp_path: Path) -> None:
    """The long file is as good as the short one."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        (tmp_path / "journal.new").mkdir()
        journal._file._compact_at = 0  # type: ignore[union-attr]
        journal.append(_entry("stays"))
        for number in range(9):
            journal.append(_entry(f"k{number}"))
            journal.append(Gone(f"k{number}"))
        assert _keys(journal) == ["stays"]
        (tmp_path / "journal.new").rmdir()
    with JournalFile(path) as journal:
        assert _keys(journal) == ["stays"]


@pytest.mark.parametrize("link", ["symlink", "hard link", "relative path"])
def test_another_name_of_the_file_is_no_other_journal(
    tmp_path: Path, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second sidecar on a symlink spent kept credits again."""
    path, other = tmp_path / "journal", tmp_path / "other"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        if link == "symlink":
            other.symlink_to(path)
        elif link == "hard link":
            other.hardlink_to(path)
        else:
            monkeypatch.chdir(tmp_path)
            other = Path("journal")
        with pytest.raises(UserError, match="another process holds it"):
            JournalFile(other)
        _fill_and_empty(journal)
        with pytest.raises(UserError, match="another process holds it"):
            JournalFile(other)
        with pytest.raises(UserError, match="another process holds it"):
            JournalFile(path)
    with JournalFile(other) as journal:
        assert _keys(journal) == ["a"]
    assert other.samefile(path)


def test_a_symlink_stays_one_when_its_file_is_rewritten(tmp_path: Path) -> None:
    """The new file takes the place of the target."""
    target, link = tmp_path / "disk" / "journal", tmp_path / "journal"
    target.parent.mkdir()
    link.symlink_to(target)
    with JournalFile(link) as journal:
        journal.append(_entry("a"))
        inode = target.stat().st_ino
        _fill_and_empty(journal)
        assert target.stat().st_ino != inode
    assert link.is_symlink()
    with JournalFile(target) as journal:
        assert _keys(journal) == ["a"]


def _fill_and_empty(journal: JournalFile) -> None:
    """Make it rewrite itself."""
    journal._file._compact_at = 0  # type: ignore[union-attr]
    for number in range(9):
        journal.append(_entry(f"more{number}"))
    for number in range(9):
        journal.append(Gone(f"more{number}"))


def test_a_key_has_one_entry(tmp_path: Path) -> None:
    """The first one counts."""
    with JournalFile(tmp_path / "journal") as journal:
        journal.append(_entry("a"))
        journal.append(_entry("a", sent_at=NOW))
        assert journal.entries() == [_entry("a")]


def test_a_record_that_cannot_be_written_as_json_fails_its_append(tmp_path: Path) -> None:
    """An org of a megabyte, or of no Unicode, does not fail open."""
    with JournalFile(tmp_path / "journal") as journal:
        for org in ("x" * 100_000, "\ud800"):
            with pytest.raises(JournalUnwritable, match="record"):
                journal.append(
                    replace(_entry("k"), charge=Charge(org, "p", "r", 1, "k", private=True))
                )
        assert _keys(journal) == []


def test_unspent_units_outlive_a_clean_shutdown(tmp_path: Path) -> None:
    """Credits and leases are used first after the restart."""
    path = tmp_path / "journal"
    slot = ("org", "ai_calls")
    with JournalFile(path) as store:
        books = Books(RememberingObserver(), store)
        books.credits.add(slot, 3, NOW + 100, NOW)
        assert books.close(NOW) == 0
    with JournalFile(path) as store:
        books = Books(RememberingObserver(), store)
        books.restore(store.entries(), store.kept, Moment(0.0, NOW))
        assert books.credits.units(NOW) == 3


def test_what_is_owed_without_a_journal_is_lost_aloud() -> None:
    """In memory only: used and not billed is one loss, paid and not used is another."""
    observer = RememberingObserver()
    books = Books(observer)
    books.credits.add(("org", "ai_calls"), 3, NOW + 100, NOW)
    books.owe(_entry("k").charge, Moment(0.0, NOW), None)
    assert books.close(NOW) == 4
    assert (observer.of("journal_dropped"), observer.of("credits_lost")) == (
        [(1, Unreported.STOPPED)],
        [(3, Loss.STOPPED)],
    )


WRITER = """
import sys
from pathlib import Path
from sidecar.admission.journal_entries import Entry, Purpose
from sidecar.admission.journal_file import JournalFile
from sidecar.domain.model import Charge

journal = JournalFile(Path(sys.argv[1]))
n = 0
while True:
    charge = Charge("org", "p", "ai_calls", 1, f"k{n}", private=True)
    journal.append(Entry(charge, Purpose.REPORT, 0.0, None, False))
    sys.stdout.write(f"k{n}\\n")
    sys.stdout.flush()
    n += 1
"""


def test_a_killed_process_leaves_all_it_had_said_was_kept(tmp_path: Path) -> None:
    """SIGKILL: counted or journalled covers executed."""
    path = tmp_path / "journal"
    with subprocess.Popen(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(500)]
        writer.send_signal(signal.SIGKILL)
    with JournalFile(path) as journal:
        assert _keys(journal)[: len(said)] == said
