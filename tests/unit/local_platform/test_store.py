"""Transactions and notes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.domain.errors import UserError
from sidecar.local_platform.store import TABLES, VERSION, Store


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    made = Store(None)
    yield made
    made.close()


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    """All of it or none."""

    def set_and_fail() -> None:
        with store.transaction():
            store.set_note("a", "1")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        set_and_fail()

    assert store.note("a") is None


def test_a_note_is_replaced(store: Store) -> None:
    """One value to a name."""
    store.set_note("a", "1")
    store.set_note("a", "2")

    assert store.note("a") == "2"


def test_a_number_that_is_not_there_is_a_fault(store: Store) -> None:
    """A query that must give a number gave none."""
    with pytest.raises(LookupError):
        store.number("SELECT 1 FROM notes")


def test_a_file_is_written_ahead(tmp_path: Path) -> None:
    """WAL: a killed process loses no commit, and a reader is not locked out."""
    store = Store(tmp_path / "p.db")
    reader = sqlite3.connect(tmp_path / "p.db")
    with store.transaction():
        store.set_note("a", "1")
        assert reader.execute("SELECT count(*) FROM notes").fetchone() == (0,)

    assert tuple(store.row("PRAGMA journal_mode") or ()) == ("wal",)
    assert reader.execute("SELECT count(*) FROM notes").fetchone() == (1,)
    reader.close()
    store.close()


def test_a_file_in_use_is_named(tmp_path: Path) -> None:
    """Another program holds it: a UserError after a while, not a traceback."""
    Store(tmp_path / "p.db").close()
    holder = sqlite3.connect(tmp_path / "p.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(UserError, match=r"p\.db: database is locked"):
        Store(tmp_path / "p.db", busy_seconds=0.05)
    holder.close()


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each file in a folder."""
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_its_files_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask: they hold keys and secrets."""
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "p.db")
        store.set_note("a", "1")
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"p.db": 0o600, "p.db-wal": 0o600, "p.db-shm": 0o600}
    store.close()


def test_files_that_others_could_read_are_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an earlier version, or copied: each is named once in the log."""
    store = Store(tmp_path / "p.db")
    store.set_note("a", "1")
    for each in tmp_path.iterdir():
        each.chmod(0o644)
    second = Store(tmp_path / "p.db")
    assert set(modes(tmp_path).values()) == {0o600}
    assert second.note("a") == "1"
    names = {name for name in modes(tmp_path) for line in caplog.messages if f"{name} " in line}
    assert names == {"p.db", "p.db-wal", "p.db-shm"}
    second.close()
    store.close()


def test_a_file_in_no_folder_is_named(tmp_path: Path) -> None:
    """One line, with what to do."""
    with pytest.raises(UserError, match=r"none/p\.db: No such file or directory; name a file"):
        Store(tmp_path / "none" / "p.db")


def test_the_version_stands_for_these_tables() -> None:
    """Changed tables need a new version: then write the new digest here.

    An old database would else be opened and fail at the first query.
    """
    digest = hashlib.sha256(TABLES.encode()).hexdigest()[:16]

    assert (VERSION, digest) == (2, "9aa985590a01fd23")
