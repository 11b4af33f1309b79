"""The lock is on the file: not on a name, and not on a file that has been replaced."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from sidecar.admission.journal_lock import HeldError, is_at, is_held, open_fresh, open_locked


def test_a_held_file_is_refused_under_each_name(tmp_path: Path) -> None:
    """The lock is the inode's."""
    path = tmp_path / "journal"
    fd = open_locked(path, create=True)
    (tmp_path / "link").hardlink_to(path)
    for name in ("journal", "link"):
        with pytest.raises(HeldError):
            open_locked(tmp_path / name, create=False)
    os.close(fd)
    os.close(open_locked(tmp_path / "link", create=False))


def test_a_file_that_was_replaced_before_it_was_locked_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that has its name now is: a lock on the old one is worthless."""
    path = tmp_path / "journal"
    path.write_text("old")
    lock = fcntl.flock

    def replaced_first(fd: int, operation: int) -> None:
        monkeypatch.setattr("fcntl.flock", lock)
        (tmp_path / "new").write_text("new")
        (tmp_path / "new").replace(path)
        lock(fd, operation)

    monkeypatch.setattr("fcntl.flock", replaced_first)
    fd = open_locked(path, create=True)
    assert os.read(fd, 9) == b"new"
    os.close(fd)


def test_a_holder_that_gives_up_soon_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that takes a journal over renames it at once, and the name is free."""
    path = tmp_path / "journal"
    held = open_locked(path, create=True)

    def renamed_meanwhile(_: float) -> None:
        path.rename(tmp_path / "journal.taken")

    monkeypatch.setattr("time.sleep", renamed_meanwhile)
    fd = open_locked(path, create=True)
    assert is_at(fd, path)
    assert not is_at(held, path)
    os.close(fd)
    os.close(held)


def test_a_fresh_file_is_empty_and_locked(tmp_path: Path) -> None:
    """It is locked before it takes the journal's place."""
    path = tmp_path / "journal.new"
    path.write_text("left by a killed process")
    fd = open_fresh(path)
    assert path.read_text() == ""
    with pytest.raises(HeldError):
        open_locked(path, create=False)
    with pytest.raises(BlockingIOError):
        open_fresh(path)
    os.close(fd)


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    """The caller resolves it, once."""
    (tmp_path / "link").symlink_to(tmp_path / "journal")
    with pytest.raises(OSError, match="symbolic"):
        open_locked(tmp_path / "link", create=True)


def test_a_file_is_held_while_a_process_has_its_lock(tmp_path: Path) -> None:
    """A look takes nothing, and makes no file."""
    path = tmp_path / "journal"
    assert not is_held(path)
    assert not path.exists()
    fd = open_locked(path, create=True)
    assert is_held(path)
    os.close(fd)
    assert not is_held(path)
