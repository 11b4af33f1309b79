"""The journal's file: each record is with the operating system before `append` returns.

That survives the death of the process at any moment (SIGKILL, out of memory). It is not flushed
to the disk for each record, so that a call costs microseconds: what the machine had not written
when it lost power is lost.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final, Self

from sidecar.admission.journal import Added, Entry, JournalUnwritable, Kept, Record
from sidecar.admission.journal_records import MAGIC, Balance, apply, balance_of, encode, scan
from sidecar.errors import UserError

COMPACT_BYTES: Final = 1024 * 1024
"""A file smaller than this is never written anew while the process runs."""

_ENTRY_BYTES: Final = 300  # of one entry, about
_WASTE: Final = 4  # written anew when this many times what its entries need: then it is quick


class JournalFile:
    """A journal store on one file, held by one process. Not for use by several threads."""

    durable = True

    def __init__(self, path: Path) -> None:
        """Open or create `path`, take its lock, and drop a torn tail.

        UserError when it cannot be had: another process holds it, it is no journal, or the system
        refuses. What cannot be read in the middle is kept aside in `<path>.damaged`.
        """
        self._path = path
        self._balance = Balance({}, [])
        self._size = 0
        self._compact_at = COMPACT_BYTES
        self._fd = -1
        self.damaged_bytes = 0
        """Bytes in the middle of the file that could not be read, kept aside."""
        self.kept: list[Kept] = []
        """Credits that the last clean shutdown left: to be taken over once."""
        try:
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(
                f"journal {path}: {error.strerror}; give --journal a path in a writable directory"
            ) from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _open(self) -> None:
        path = self._path
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"journal {path}: another process holds it; give each process its own file"
            ) from error
        try:
            data = path.read_bytes() if path.exists() else b""
            if not (data.startswith(MAGIC) or MAGIC.startswith(data)):
                raise UserError(f"journal {path}: not a journal; give --journal another path")
            scanned = scan(data[len(MAGIC) :])
            if scanned.damaged:
                rest = data[len(MAGIC) + scanned.good :]
                self.damaged_bytes = len(rest)
                path.with_name(f"{path.name}.damaged").write_bytes(rest)
            self._balance = balance_of(scanned.records)
            self.kept.extend(self._balance.kept)
            # From here on credits live in memory: kept in the file too, they could be spent twice.
            self._balance.kept.clear()
            self._rewrite()
            os.fsync(self._fd)
        except OSError as error:
            raise UserError(
                f"journal {path}: {error.strerror}; mend the disk, or give another path"
            ) from error
        except ValueError as error:
            raise UserError(f"journal {path}: {error}; it is of another version") from error

    def entries(self) -> list[Entry]:
        """Return what is owed, oldest first."""
        return list(self._balance.entries.values())

    def append(self, record: Record) -> None:
        """Write one record whole, or leave the file as it was and raise JournalUnwritable."""
        try:
            data = encode(record)
            _write_whole(self._fd, data)
        except ValueError as error:
            raise JournalUnwritable(f"journal {self._path}: {error}") from error
        except OSError as error:
            self._cut_back()
            raise JournalUnwritable(
                f"journal {self._path}: {error.strerror}; free space on its disk"
            ) from error
        self._size += len(data)
        apply(self._balance, record)
        if self._size > self._compact_at:
            self._compact()

    def close(self) -> None:
        """Flush to the disk, and give the file up to the next process."""
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _cut_back(self) -> None:
        """Take a half-written record away, lest the next one be read as its rest."""
        if self._fd < 0:
            return
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            # Nothing can be appended after this: the descriptor is given up, and every later
            # append fails until the file is opened again, which drops the torn tail.
            os.close(self._fd)
            self._fd = -1

    def _compact(self) -> None:
        needed = len(self._balance.entries) * _ENTRY_BYTES
        try:
            if self._size > _WASTE * needed:
                self._rewrite()
        except OSError:
            # The long file is as good as the short one; try again when it has grown as much again.
            self._compact_at = 2 * self._size
        else:
            self._compact_at = max(COMPACT_BYTES, 2 * self._size)

    def _rewrite(self) -> None:
        """Replace the file by one that holds only what is owed, whole or not at all."""
        data = MAGIC + b"".join(encode(Added(entry)) for entry in self.entries())
        data += b"".join(encode(record) for record in self._balance.kept)
        fresh = self._path.with_name(f"{self._path.name}.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(fresh, flags, 0o600)
        try:
            _write_whole(fd, data)
            fresh.replace(self._path)
        except BaseException:
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._size = len(data)


def _write_whole(fd: int, data: bytes) -> None:
    """Write all of `data` or raise OSError; some of it may have been written then."""
    if os.write(fd, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
