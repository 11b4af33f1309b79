"""The journal's keeper: what the files hold comes into the books, and what fails is retried."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.admission.books import Books
from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Entry, Purpose
from sidecar.admission.journal_file import JournalFile
from sidecar.admission.journal_files import JournalFiles
from sidecar.admission.moment import Moment
from sidecar.admission.settlements import Settlements
from sidecar.app.journal_keeper import LOOK_SECONDS, JournalKeeper
from sidecar.domain.model import Charge
from tests.fakes.admission import RememberingObserver
from tests.fakes.clock import TurnedClock

NOW = 1_790_000_000.0


def _left(path: Path, *keys: str, damage: bytes = b"") -> None:
    """Leave a journal as a process that has ended does."""
    with JournalFile(path) as journal:
        for key in keys:
            charge = Charge("org", "p", "ai_calls", 1, key, private=True)
            journal.append(Entry(charge, Purpose.REPORT, NOW, None, limited=True))
        journal.append(Lot("org", "ai_calls", 5, NOW + 9))
    with path.open("ab") as file:
        file.write(damage)


def _kept(files: JournalFiles, **more: Any) -> tuple[JournalKeeper, Books]:
    books = Books(RememberingObserver(), files)
    settlements = Settlements(books=books, observer=RememberingObserver(), nonce=bytes(32))
    return JournalKeeper(files, books, settlements, TurnedClock(NOW), **more), books


def _said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [each.__dict__ for each in caplog.records if each.getMessage() == event]


def test_a_process_alone_takes_all_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What other numbers of workers have left is in its books before it serves."""
    _left(tmp_path / "journal", "a")
    _left(tmp_path / "journal.3", "b", damage=b"damage")
    (tmp_path / "journal.4").write_text("something else")
    files = JournalFiles(tmp_path / "journal")
    keeper, books = _kept(files)
    keeper.begin(alone=True)
    keeper.look()
    assert len(books.journal) == books.journal.pending == 2
    assert books.credits.units(NOW) == 10
    [damaged] = _said(caplog, "journal_damaged")
    assert damaged["bytes"] == 6
    assert Path(damaged["kept_in"]).read_bytes() == b"damage"
    assert books.journal.damaged_bytes == 6
    [left] = _said(caplog, "journal_left_behind")
    assert left["journal"] == str(tmp_path / "journal.4")
    files.close()


async def test_a_worker_takes_its_own_first(tmp_path: Path) -> None:
    """The others have as long to start; then what no process holds is taken over."""
    _left(tmp_path / "journal.1", "a")
    _left(tmp_path / "journal.2", "b")
    files = JournalFiles(tmp_path / "journal", 1)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 2:
            raise asyncio.CancelledError

    keeper, books = _kept(files, sleep=sleep)
    keeper.begin(alone=False)
    assert "a" in books.journal
    assert "b" not in books.journal
    with pytest.raises(asyncio.CancelledError):
        await keeper.run()
    assert slept == [LOOK_SECONDS] * 3
    assert "b" in books.journal
    files.close()


def test_a_disk_that_fails_is_reported_and_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Entries that could not be read at the start are taken when they can be."""
    _left(tmp_path / "journal", "a")

    def failing(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr("os.open", failing)
        files = JournalFiles(tmp_path / "journal")
        keeper, books = _kept(files)
        keeper.begin(alone=True)
        keeper.look()
    [unwritable] = _said(caplog, "journal_unwritable")
    assert "Input/output error" in unwritable["why"]
    assert "Input/output error" in books.journal.problem
    assert len(books.journal) == 0
    with caplog.at_level(logging.INFO, "sidecar"):
        keeper.look()
    assert len(_said(caplog, "journal_writable_again")) == 1
    assert books.journal.problem == ""
    assert "a" in books.journal
    files.close()


def test_a_full_book_takes_nothing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries of all workers together could be more than one process has room for."""
    monkeypatch.setattr("sidecar.app.journal_keeper.CAPACITY", 1)
    _left(tmp_path / "journal.1", "a")
    _left(tmp_path / "journal.2", "b")
    files = JournalFiles(tmp_path / "journal", 1)
    keeper, books = _kept(files)
    keeper.begin(alone=False)
    keeper.look()
    assert "b" not in books.journal
    taken = books.journal.take(Moment(0.0, NOW))
    assert taken is not None
    books.journal.resolve("a")
    keeper.look()
    assert "b" in books.journal
    files.close()
