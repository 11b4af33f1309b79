"""A sidecar's journals: one for each worker, and those that no process holds are taken over."""

from __future__ import annotations

import errno
import os
from collections.abc import Container
from pathlib import Path

import pytest

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import (
    Changed,
    Entry,
    Gone,
    Purpose,
)
from sidecar.admission.journal_file import JournalFile
from sidecar.admission.journal_files import JournalFiles, LeftBehind
from sidecar.domain.errors import UserError
from sidecar.domain.model import Charge
from tests.unit.admission.scene import NOW

LOT = Lot("org", "ai_calls", 5, NOW + 9)


def _entry(key: str, *, sent_at: float | None = None) -> Entry:
    charge = Charge("org", "p", "ai_calls", 1, key, private=True)
    return Entry(charge, Purpose.REPORT, NOW, sent_at, limited=True)


def _left(path: Path, *keys: str, kept: bool = False) -> None:
    """Leave a journal as a process that has ended does."""
    with JournalFile(path) as journal:
        for key in keys:
            journal.append(_entry(key))
        if kept:
            journal.append(LOT)


def _found(files: JournalFiles, known: Container[str] = ()) -> tuple[list[str], list[Lot]]:
    entries, kept = files.take_found(lambda key: key in known)
    return [entry.charge.key for entry in entries], kept


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fewer_workers_report_what_more_have_left(tmp_path: Path) -> None:
    """Going from three workers to one left two journals that no process reported."""
    path = tmp_path / "journal"
    _left(path, "a")
    _left(tmp_path / "journal.1", "b", kept=True)
    _left(tmp_path / "journal.2", "c")
    files = JournalFiles(path)
    assert files.take_over() == []
    assert _found(files) == (["a", "b", "c"], [LOT])
    assert _found(files) == ([], [])
    for key in "abc":
        files.append(Changed(_entry(key, sent_at=NOW)))
        files.append(Gone(key))
    files.append(_entry("new"))
    files.close()
    assert _names(tmp_path) == ["journal"]
    with JournalFile(path) as journal:
        assert journal.entries() == [_entry("new")]


def test_a_kill_loses_nothing_and_spends_nothing_twice(tmp_path: Path) -> None:
    """At each moment an entry is in one file; a credit that was handed out is in none."""
    path = tmp_path / "journal"
    _left(tmp_path / "journal.1", "a", "b", kept=True)
    for keys, kept in ((["a", "b"], [LOT]), (["a", "b"], []), (["b"], []), ([], [])):
        files = JournalFiles(path)  # after a kill: the lock is gone, and nothing else
        files.take_over()
        assert _found(files) == (keys, kept)
        if not kept and keys:
            files.append(Changed(_entry(keys[0], sent_at=NOW)))
            files.append(Gone(keys[0]))
        files.close()
    assert _names(tmp_path) == ["journal"]


def test_a_name_is_free_once_its_journal_is_taken_over(tmp_path: Path) -> None:
    """A worker that died can be replaced while another reports what it left."""
    path = tmp_path / "journal"
    _left(tmp_path / "journal.1", "a")
    first = JournalFiles(path)
    first.take_over()
    assert _found(first) == (["a"], [])
    second = JournalFiles(path, 1)
    second.take_over()
    second.append(_entry("b"))
    assert _found(second) == ([], [])
    first.close()
    second.take_over()
    assert _found(second) == (["a"], [])
    second.close()


def test_another_worker_takes_over_the_first_ones_journal(tmp_path: Path) -> None:
    """No worker is special: also the file that was named may be left."""
    path = tmp_path / "journal"
    _left(path, "a")
    files = JournalFiles(path, 3)
    files.take_over()
    assert _found(files) == (["a"], [])
    assert not path.exists()
    JournalFiles(path).close()
    files.close()


def test_a_journal_that_a_process_holds_is_left_to_it(tmp_path: Path) -> None:
    """The lock decides, and a process that starts has its own."""
    path = tmp_path / "journal"
    _left(tmp_path / "journal.1", "a")
    files, worker = JournalFiles(path), JournalFiles(path, 1)
    assert files.take_over() == []
    assert _found(files) == ([], [])
    assert _found(worker) == (["a"], [])
    with pytest.raises(UserError, match="another process holds it"):
        JournalFiles(path)
    files.close()
    worker.close()


def test_two_processes_at_once_do_not_both_take_one_over(tmp_path: Path) -> None:
    """Both see the file, and one locks it."""
    path = tmp_path / "journal"
    _left(tmp_path / "journal.7", "a", kept=True)
    first, second = JournalFiles(path), JournalFiles(path, 1)
    seen = second._others()
    first.take_over()
    assert tmp_path / "journal.7" in seen
    for path in seen:
        second._take_over(path)
    assert _found(first) == (["a"], [LOT])
    assert _found(second) == ([], [])
    first.close()
    second.close()


def test_an_entry_under_a_key_of_our_own_waits(tmp_path: Path) -> None:
    """One key is asked for once at a time; the other entry is not forgotten."""
    path = tmp_path / "journal"
    _left(tmp_path / "journal.1", "a", "b")
    _left(tmp_path / "journal.2", "b")
    files = JournalFiles(path)
    files.append(_entry("a"))
    files.take_over()
    assert _found(files, {"a"}) == (["b"], [])
    files.append(Gone("a"))
    files.append(Gone("b"))
    assert _found(files) == (["a", "b"], [])
    files.append(Gone("a"))
    files.append(Gone("b"))
    assert _found(files) == ([], [])
    files.close()
    assert _names(tmp_path) == ["journal"]


def test_what_is_no_journal_is_left_alone_and_reported(tmp_path: Path) -> None:
    """A file of another program may have such a name."""
    path = tmp_path / "journal"
    (tmp_path / "journal.7").write_text("something else")
    (tmp_path / "journal.8").mkdir()
    for name in ("journal.bak", "journal.new.1", "other.1", "journals"):
        (tmp_path / name).write_text("not ours by its name")
    (tmp_path / "journal.9").symlink_to("nowhere")
    (tmp_path / "journal.10").touch()
    files = JournalFiles(path)
    left = files.take_over()
    assert [(each.path.name, each.why) for each in left] == [
        ("journal.7", f"journal {tmp_path}/journal.7: not a journal; give --journal another path"),
        ("journal.8", "Is a directory"),
    ]
    assert (tmp_path / "journal.7").read_text() == "something else"
    _found(files)
    files.close()
    assert "journal.10" not in _names(tmp_path)


def test_the_files_of_a_linked_journal_are_beside_the_real_one(tmp_path: Path) -> None:
    """So each name of the journal leads to the same files."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "[journal]"
    link.symlink_to(tmp_path / "disk" / "real")
    _left(tmp_path / "disk" / "real.1", "a")
    for name in (link, tmp_path / "disk" / "real"):
        files = JournalFiles(name)
        assert files.take_over() == []
        assert _found(files) == (["a"], [])
        files.close()


@pytest.mark.parametrize("call", ["os.open", "pathlib.Path.rename", "pathlib.Path.glob"])
def test_what_the_disk_refuses_is_left_and_reported(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again later."""
    path = tmp_path / "journal"
    _left(tmp_path / "journal.1", "a")
    files = JournalFiles(path)

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(call, failing)
        [left] = files.take_over()
    assert left == LeftBehind(
        tmp_path if call.endswith("glob") else tmp_path / "journal.1", "Input/output error"
    )
    assert files.take_over() == []
    assert _found(files) == (["a"], [])
    files.close()


def test_a_journal_that_can_only_be_read_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be neither renamed nor marked."""
    _left(tmp_path / "journal.1", "a")
    files = JournalFiles(tmp_path / "journal")
    real = os.open

    def read_only(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(name, flags, mode)

    with monkeypatch.context() as broken:
        broken.setattr("os.open", read_only)
        [left] = files.take_over()
    assert left.why == "Read-only file system"
    assert files.take_over() == []
    assert _found(files) == (["a"], [])
    files.close()


def test_damage_of_every_file_is_counted(tmp_path: Path) -> None:
    """Also of a file that is deleted later."""
    path = tmp_path / "journal"
    for name in ("journal", "journal.1"):
        _left(tmp_path / name, "a" + name)
        with (tmp_path / name).open("ab") as file:
            file.write(b"damage")
    files = JournalFiles(path)
    files.take_over()
    _found(files)
    files.append(Gone("ajournal.1"))
    assert files.damaged_bytes == 12
    assert [damage.bytes for damage in files.damage] == [6, 6]
    files.recover()
    assert files.damaged_bytes == 12
    assert files.problem == ""
    files.close()


def test_a_process_without_a_number_takes_the_first_free_file(tmp_path: Path) -> None:
    """One that ended leaves its name to the next."""
    path = tmp_path / "journal"
    first, second = JournalFiles.first_free(path), JournalFiles.first_free(path)
    assert _names(tmp_path) == ["journal", "journal.1"]
    first.close()
    third = JournalFiles.first_free(path)
    assert _names(tmp_path) == ["journal", "journal.1"]
    third.close()
    second.close()


def test_too_many_processes_on_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most likely products share a path."""
    monkeypatch.setattr("sidecar.admission.journal_files.MOST_PROCESSES", 1)
    held = JournalFiles.first_free(tmp_path / "journal")
    with pytest.raises(UserError, match="give each product its own path"):
        JournalFiles.first_free(tmp_path / "journal")
    held.close()
