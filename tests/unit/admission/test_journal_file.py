"""The journal's file: it survives being cut, filled, locked and killed."""

from __future__ import annotations

import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sidecar.admission.books import Books
from sidecar.admission.credits import Lot
from sidecar.admission.journal import Added, Entry, Gone, JournalUnwritable, Kept, Purpose, Sent
from sidecar.admission.journal_file import COMPACT_BYTES, JournalFile
from sidecar.admission.journal_records import MAGIC, encode
from sidecar.admission.moment import Moment
from sidecar.errors import UserError
from sidecar.model import Charge, Enforcement, Loss, OnPlatformError, Reason
from tests.fakes.admission import RememberingObserver
from tests.fakes.quotas import UnreachableQuotas
from tests.unit.admission.scene import NOW, Scene


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


@contextmanager
def _no_file_longer_than(size: int) -> Iterator[None]:
    """Have the kernel refuse to let any file grow past `size`, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    """Entries as they were, minus what is gone."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        for key in ("a", "b", "c"):
            journal.append(Added(_entry(key)))
        journal.append(Gone("a"))
        journal.append(Sent("b", NOW + 1))
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry("b", sent_at=NOW + 1), _entry("c")]


def test_credits_are_handed_over_once(tmp_path: Path) -> None:
    """Taken over into memory, they must not be found again after a crash."""
    path = tmp_path / "journal"
    lot = Lot("org", "ai_calls", 5, NOW + 100)
    with JournalFile(path) as journal:
        journal.append(Kept(lot))
    with JournalFile(path) as journal:
        assert journal.kept == [Kept(lot)]
    with JournalFile(path) as journal:
        assert journal.kept == []


def test_a_file_cut_at_any_byte_keeps_every_whole_record(tmp_path: Path) -> None:
    """Conformance 37: killed at any moment of a write."""
    whole = [encode(Added(_entry(key))) for key in ("a", "b", "c")]
    data = MAGIC + b"".join(whole)
    ends = [len(MAGIC) + sum(map(len, whole[: n + 1])) for n in range(3)]
    for cut in range(len(data) + 1):
        path = tmp_path / f"journal{cut}"
        path.write_bytes(data[:cut])
        with JournalFile(path) as journal:
            assert _keys(journal) == ["a", "b", "c"][: sum(end <= cut for end in ends)]
            assert journal.damaged_bytes == 0
            journal.append(Added(_entry("new")))
        with JournalFile(path) as journal:
            assert _keys(journal)[-1] == "new"


def test_damage_in_the_middle_is_kept_aside(tmp_path: Path) -> None:
    """What cannot be read is for a person to look at, and not to be overwritten."""
    path = tmp_path / "journal"
    data = bytearray(MAGIC + encode(Added(_entry("a"))) + encode(Added(_entry("b"))))
    data[-5] ^= 0xFF
    path.write_bytes(data)
    with JournalFile(path) as journal:
        assert _keys(journal) == ["a"]
        assert journal.damaged_bytes == len(encode(Added(_entry("b"))))
    assert (tmp_path / "journal.damaged").read_bytes() == data[-journal.damaged_bytes :]


def test_a_full_disk_fails_the_append_and_harms_nothing(tmp_path: Path) -> None:
    """A half-written record is taken away, and the next one is whole."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(Added(_entry("a")))
        with (
            _no_file_longer_than(path.stat().st_size + 10),
            pytest.raises(JournalUnwritable, match="free space"),
        ):
            journal.append(Added(_entry("b")))
        journal.append(Added(_entry("c")))
    with JournalFile(path) as journal:
        assert _keys(journal) == ["a", "c"]
        assert journal.damaged_bytes == 0


async def test_a_call_that_cannot_be_journalled_does_not_fail_open(tmp_path: Path) -> None:
    """A full disk closes what would have passed on trust."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        scene = Scene(journal=journal, on_platform_error=OnPlatformError.FAIL_OPEN)
        scene.platform.now = UnreachableQuotas()
        with _no_file_longer_than(path.stat().st_size):
            decision = await scene.decide()
        assert (decision.reason, decision.permit) == (Reason.FAIL_CLOSED, None)
        assert "free space" in decision.detail
        assert len(scene.books.outages) == 0


async def test_shadow_passes_without_a_journal_and_says_what_it_lost(tmp_path: Path) -> None:
    """The trial week refuses nothing; what nobody will report is counted as dropped."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        scene = Scene(journal=journal, enforcement=Enforcement.SHADOW)
        scene.platform.now = UnreachableQuotas()
        with _no_file_longer_than(path.stat().st_size):
            decision = await scene.decide()
        assert decision.reason is Reason.SHADOW
        assert scene.observer.of("journal_dropped") == [(1,)]


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


def test_a_directory_that_is_not_there_is_a_users_error(tmp_path: Path) -> None:
    """It names the path and the mend."""
    with pytest.raises(UserError, match="writable directory"):
        JournalFile(tmp_path / "absent" / "journal")


def test_a_record_of_another_version_is_a_users_error(tmp_path: Path) -> None:
    """An older sidecar must not drop what a newer one owes."""
    path = tmp_path / "journal"
    payload = b'["forgiven","k"]'
    path.write_bytes(MAGIC + struct.pack(">II", len(payload), zlib.crc32(payload)) + payload)
    with pytest.raises(UserError, match="another version"):
        JournalFile(path)


@pytest.mark.parametrize(("private", "fields"), [(None, 6), (False, 7), (True, 7)])
def test_an_entry_keeps_whether_its_key_is_private(
    tmp_path: Path, *, private: bool | None, fields: int
) -> None:
    """An entry written before the field existed has a key that other processes may share."""
    path = tmp_path / "journal"
    record = ["added", ["org", "p", "ai_calls", 1, "k"], "report", NOW, None, True, private]
    payload = orjson.dumps(record[:fields])
    path.write_bytes(MAGIC + struct.pack(">II", len(payload), zlib.crc32(payload)) + payload)
    for _ in range(2):  # as it was written, and as this version writes it
        with JournalFile(path) as journal:
            (entry,) = journal.entries()
            assert entry.charge.private is bool(private)


def test_a_long_file_of_what_is_gone_is_written_anew(tmp_path: Path) -> None:
    """The file follows what is owed, not what has ever been."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(Added(_entry("stays")))
        pair = len(encode(Added(_entry("k")))) + len(encode(Gone("k")))
        for _ in range(COMPACT_BYTES // pair + 1):
            journal.append(Added(_entry("k")))
            journal.append(Gone("k"))
        assert path.stat().st_size < 10 * pair
    with JournalFile(path) as journal:
        assert _keys(journal) == ["stays"]


def test_a_file_that_cannot_be_written_anew_goes_on_as_it_is(tmp_path: Path) -> None:
    """The long file is as good as the short one."""
    path = tmp_path / "journal"
    (tmp_path / "journal.new").mkdir()
    with pytest.raises(UserError, match="mend the disk"):
        JournalFile(path)
    (tmp_path / "journal.new").rmdir()
    with JournalFile(path) as journal:
        (tmp_path / "journal.new").mkdir()
        journal._compact_at = 0
        journal.append(Added(_entry("a")))
        journal.append(Gone("a"))
        journal.append(Added(_entry("b")))
        assert _keys(journal) == ["b"]
        (tmp_path / "journal.new").rmdir()
    with JournalFile(path) as journal:
        assert _keys(journal) == ["b"]


def test_a_record_that_cannot_be_written_as_json_fails_its_append(tmp_path: Path) -> None:
    """An org of a megabyte, or of no Unicode, does not fail open."""
    with JournalFile(tmp_path / "journal") as journal:
        for org in ("x" * 100_000, "\ud800"):
            with pytest.raises(JournalUnwritable, match="record"):
                journal.append(
                    Added(replace(_entry("k"), charge=Charge(org, "p", "r", 1, "k", private=True)))
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
    books.owe(_entry("k").charge, Moment(0.0, NOW), limited=False)
    assert books.close(NOW) == 4
    assert (observer.of("journal_dropped"), observer.of("credits_lost")) == (
        [(1,)],
        [(3, Loss.STOPPED)],
    )


WRITER = """
import sys
from pathlib import Path
from sidecar.admission.journal import Added, Entry, Purpose
from sidecar.admission.journal_file import JournalFile
from sidecar.model import Charge

journal = JournalFile(Path(sys.argv[1]))
n = 0
while True:
    charge = Charge("org", "p", "ai_calls", 1, f"k{n}", private=True)
    journal.append(Added(Entry(charge, Purpose.REPORT, 0.0, None, False)))
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
