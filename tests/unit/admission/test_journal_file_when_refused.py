"""The journal's file where the disk refuses: what it holds can be reported, and it is retried."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import (
    Changed,
    Entry,
    Gone,
    JournalUnwritable,
    Purpose,
)
from sidecar.admission.journal_file import JournalFile
from sidecar.domain.choices import Enforcement, OnPlatformError
from sidecar.domain.errors import UserError
from sidecar.domain.model import Charge, Reason, Unreported
from tests.fakes.quotas import UnreachableQuotas
from tests.unit.admission.scene import NOW, Scene


def _entry(key: str, *, sent_at: float | None = None) -> Entry:
    charge = Charge("org", "p", "ai_calls", 1, key, private=True)
    return Entry(charge, Purpose.REPORT, NOW, sent_at, limited=True)


def _keys(journal: JournalFile) -> list[str]:
    return [entry.charge.key for entry in journal.entries()]


@contextlib.contextmanager
def _no_file_longer_than(size: int) -> Iterator[None]:
    """Have the kernel refuse to let any file grow past `size`, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _fill(journal: JournalFile) -> list[str]:
    """Add entries until there is no room; return their keys."""
    keys: list[str] = []
    with contextlib.suppress(JournalUnwritable):
        while True:
            journal.append(_entry(f"k{len(keys)}"))
            keys.append(f"k{len(keys)}")
    return keys


def test_a_full_disk_fails_the_append_and_harms_nothing(tmp_path: Path) -> None:
    """A half-written record is taken away, and the next one is whole."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        with (
            _no_file_longer_than(path.stat().st_size + 10),
            pytest.raises(JournalUnwritable, match="free space"),
        ):
            journal.append(_entry("b"))
        assert "free space" in journal.problem
        journal.append(_entry("c"))
        assert journal.problem == ""
    with JournalFile(path) as journal:
        assert _keys(journal) == ["a", "c"]
        assert journal.damaged_bytes == 0


def test_what_is_in_a_full_file_can_be_marked_and_its_room_is_used_again(tmp_path: Path) -> None:
    """A journal that fills its disk can be reported, and takes entries then."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal, _no_file_longer_than(4096):
        keys = _fill(journal)
        assert len(keys) > 10
        for key in keys:
            journal.append(Changed(_entry(key, sent_at=NOW)))
            journal.append(Changed(_entry(key)))
            journal.append(Changed(_entry(key, sent_at=NOW + 1)))
            journal.append(Changed(replace(_entry(key), purpose=Purpose.RECLAIM)))
            journal.append(Gone(key))
        assert _keys(journal) == []
        assert _fill(journal) == keys
        for key in keys[2:]:
            journal.append(Gone(key))
        journal.append(_entry("new"))  # two that wait are written again without the others
        assert len(_keys(journal)) == 3


def test_a_full_disk_is_not_tried_again_at_each_call(tmp_path: Path) -> None:
    """A rewriting that failed is tried again when half as much is left to write."""
    path = tmp_path / "journal"
    (tmp_path / "journal.new").mkdir()
    with JournalFile(path) as journal, _no_file_longer_than(4096):
        held = _fill(journal)
        for key in held[4:]:
            journal.append(Gone(key))
        with pytest.raises(JournalUnwritable):
            journal.append(_entry("new"))
        (tmp_path / "journal.new").rmdir()
        with pytest.raises(JournalUnwritable):
            journal.append(_entry("new"))
        journal.append(Gone(held[0]))
        journal.append(Gone(held[1]))
        journal.append(Gone(held[2]))
        journal.append(_entry("new"))
        assert _keys(journal) == [held[3], "new"]


def test_a_full_disk_at_the_start_is_a_problem_and_no_end(tmp_path: Path) -> None:
    """The sidecar starts with what is there, and adds to it once there is room."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
    with _no_file_longer_than(path.stat().st_size):
        journal = JournalFile(path)
        assert "free space" in journal.problem
        assert _keys(journal) == ["a"]
        with pytest.raises(JournalUnwritable):
            journal.append(_entry("b"))
        journal.append(Changed(_entry("a", sent_at=NOW)))
        journal.recover()
        assert "free space" in journal.problem
    journal.recover()
    assert journal.problem == ""
    journal.append(_entry("b"))
    assert _keys(journal) == ["a", "b"]
    journal.close()


def test_a_disk_that_fails_at_the_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no user can have meant does not end the sidecar; what the file owes is found later."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))

    def failing(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr("os.open", failing)
        journal = JournalFile(path)
        assert "Input/output error" in journal.problem
        with pytest.raises(JournalUnwritable, match="Input/output error"):
            journal.append(_entry("b"))
        journal.recover()
        assert journal.found == []
    journal.recover()
    assert journal.problem == ""
    assert journal.found == [_entry("a")]
    journal.close()


def test_a_file_that_cannot_be_opened_is_not_known_to_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was taken over is deleted once it is empty: this one may owe something."""

    def failing(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.open", failing)
    assert not JournalFile(tmp_path / "journal").empty


def test_a_file_that_another_process_took_meanwhile_stays_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a start ends for it."""
    path = tmp_path / "journal"

    def failing(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr("os.open", failing)
        journal = JournalFile(path)
    with JournalFile(path):
        journal.recover()
        assert "another process holds it" in journal.problem
    journal.recover()
    assert journal.problem == ""
    journal.close()


def test_a_deleted_file_is_written_again(tmp_path: Path) -> None:
    """What is owed must not depend on a name that is gone."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        path.unlink()
        journal.recover()
        with pytest.raises(UserError, match="another process holds it"):
            JournalFile(path)
    with JournalFile(path) as journal:
        assert _keys(journal) == ["a"]


def test_another_file_of_the_name_is_left_alone(tmp_path: Path) -> None:
    """It may be another process's."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        path.rename(tmp_path / "moved")
        path.write_text("something else")
        journal.recover()
        assert "another file has its name" in journal.problem
    assert path.read_text() == "something else"


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
        assert scene.observer.of("journal_dropped") == [(1, Unreported.UNWRITABLE)]


def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel refuse to open any file for writing, as on a read-only file system."""
    real = os.open

    def refusing(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(name, flags, mode)

    monkeypatch.setattr("os.open", refusing)


def test_a_read_only_disk_is_read_once_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent that cannot be marked: entries and credits wait in the file."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        journal.append(_entry("a"))
        journal.append(Lot("org", "ai_calls", 5, NOW + 9))
    with monkeypatch.context() as broken:
        _read_only(broken)
        journal = JournalFile(path)
        journal.recover()
        assert "Read-only" in journal.problem
        assert (journal.found, journal.kept) == ([], [])
        with pytest.raises(JournalUnwritable, match="Read-only"):
            journal.append(Gone("a"))
    journal.recover()
    assert journal.problem == ""
    assert journal.found == [_entry("a")]
    assert len(journal.kept) == 1
    journal.append(Gone("a"))
    assert journal.empty
    journal.close()


def test_a_mark_that_the_disk_refuses_leaves_the_entry_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent unmarked."""

    def failing(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with JournalFile(tmp_path / "journal") as journal:
        journal.append(_entry("a"))
        with monkeypatch.context() as broken:
            broken.setattr("os.pwrite", failing)
            with pytest.raises(JournalUnwritable, match="Input/output error"):
                journal.append(Changed(_entry("a", sent_at=NOW)))
        assert journal.entries() == [_entry("a")]
        journal.recover()
        assert journal.problem == ""


def test_a_rewriting_without_room_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    """Damage that cannot be moved without room stays where it is."""
    path = tmp_path / "journal"
    with JournalFile(path) as journal:
        keys = [f"k{number}" for number in range(30)]
        for key in keys:
            journal.append(_entry(key))
    with path.open("ab") as file:
        file.write(b"damage" * 500)
    with _no_file_longer_than(1000), JournalFile(path) as journal:
        assert _keys(journal) == keys
        assert journal.damage is not None
        assert journal.damage.kept_in == path
        journal.append(Changed(_entry("k0", sent_at=NOW)))
    assert [each.name for each in tmp_path.iterdir()] == ["journal"]
    with JournalFile(path) as journal:
        assert journal.entries()[0] == _entry("k0", sent_at=NOW)
        assert journal.damaged_bytes == 3000
        assert journal.problem == ""
