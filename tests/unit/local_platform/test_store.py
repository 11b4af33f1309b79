"""Transactions and notes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import UserError
from sidecar.local_platform.store import Store


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

    assert store.row("PRAGMA journal_mode") == ("wal",)
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
