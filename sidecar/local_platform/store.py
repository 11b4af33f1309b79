"""The SQLite connection: opened, checked to be ours, and written to in whole transactions."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from sidecar.domain.errors import UserError

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x62626C70
"""SQLite's mark of whose file this is, so that no other program's database is written to."""

VERSION: Final = 2
"""SQLite's `user_version`; raise it with every change of the tables."""

TABLES: Final = files(__package__).joinpath("tables.sql").read_text("utf-8")

_OWNER_ALONE: Final = 0o600
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name of its file; it gives these the mode of that file."""

SqlValue = str | int | float | bytes | None
"""What a column holds."""

Values = Sequence[SqlValue] | Mapping[str, SqlValue]
"""What takes the places of `?`, or of `:name`."""


class Store:
    """One writer connection; calls are short and synchronous, so they order themselves.

    A file is in WAL mode with `synchronous=NORMAL`: what was committed survives SIGKILL of the
    process, though not the loss of power.
    """

    def __init__(self, path: Path | None, *, busy_seconds: float = 5.0) -> None:
        """Open `path`, made when absent; None keeps everything in memory.

        A lock that another process holds is waited for `busy_seconds` long.
        Raises UserError when the file cannot be opened, is of another program or version.
        """
        self._name = ":memory:" if path is None else str(path)
        if path is not None:
            _keep_private(path)
        try:
            # Autocommit: transactions are begun by hand, as IMMEDIATE. The thread is not checked
            # because a program may start the platform in one thread and close it in another.
            self._db = sqlite3.connect(
                self._name, isolation_level=None, timeout=busy_seconds, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise UserError(
                f"database {self._name}: {error}; name a file in a directory that can be written"
            ) from error
        self._db.row_factory = sqlite3.Row
        try:
            self._prepare(in_file=path is not None)
        except (sqlite3.Error, UserError) as error:
            self._db.close()
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"database {self._name}: {error}; name another file, or one not in use"
            ) from error

    def _prepare(self, *, in_file: bool) -> None:
        owner = self.number("PRAGMA application_id")
        version = self.number("PRAGMA user_version")
        tables = self.number("SELECT count(*) FROM sqlite_master")
        if tables and owner != APPLICATION_ID:
            raise UserError(f"database {self._name}: belongs to another program; name another file")
        if tables and version != VERSION:
            raise UserError(
                f"database {self._name}: its tables have version {version}, this program needs "
                f"{VERSION}; delete the file or name another"
            )
        if in_file:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if not tables:
            self._db.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {VERSION};{TABLES} COMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction: all of it is kept, or, when it raises, none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite ends some failed transactions itself, such as one on a full disk.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # Values go to `?` in order, or to `:name` by name. Numbered marks such as `?1` are avoided:
    # Python 3.12 takes them for names and refuses a sequence.

    def run(self, sql: str, values: Values = ()) -> int:
        """Execute a statement that changes something; return how many rows it changed."""
        return self._db.execute(sql, values).rowcount

    def rows(self, sql: str, values: Values = ()) -> Sequence[Any]:
        """Return all rows of a query: each a sequence, and a mapping by the columns' names."""
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, values: Values = ()) -> Any | None:  # noqa: ANN401  # as of `rows`
        """Return the first row of a query, or None."""
        return self._db.execute(sql, values).fetchone()

    def one(self, sql: str, values: Values = ()) -> Any:  # noqa: ANN401  # as of `rows`
        """Return the one row that a statement is certain to give."""
        found = self.row(sql, values)
        if found is None:
            raise LookupError(f"no row for {sql}")
        return found

    def number(self, sql: str, values: Values = ()) -> int:
        """Return the one whole number that a query is certain to give."""
        return int(self.one(sql, values)[0])

    def keep_newest(self, table: str, rows: int) -> None:
        """Delete all but the newest rows of a table of this package."""
        sql = f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?"  # noqa: S608
        self.run(sql, (rows,))

    def note(self, name: str) -> str | None:
        """Return what was noted under `name`, or None."""
        found = self.row("SELECT value FROM notes WHERE name = ?", (name,))
        return None if found is None else str(found[0])

    def set_note(self, name: str, value: str) -> None:
        """Note `value` under `name`, in place of what was there."""
        self.run("REPLACE INTO notes VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._db.close()


def _keep_private(path: Path) -> None:
    """Give the files of a database, which hold keys and secrets, to their owner alone.

    Whatever the umask: a new file is made so; that of a wider one is changed, and logged.
    Raises UserError where that cannot be done.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, _OWNER_ALONE))
        for end in _BESIDE:
            file = Path(f"{path}{end}")
            if not file.is_file() or not file.stat().st_mode & 0o777 & ~_OWNER_ALONE:
                continue
            log.warning("%s could be read by others: its mode is 0600 now", file)
            file.chmod(_OWNER_ALONE)
    except OSError as error:
        raise UserError(
            f"database {path}: {error.strerror}; name a file of yours in a directory that can be"
            " written"
        ) from error
