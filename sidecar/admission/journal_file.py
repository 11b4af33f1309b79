"""One journal file: each record is with the operating system before `append` returns.

That survives the death of the process at any moment (SIGKILL, out of memory). It is not flushed
to the disk for each record, so that a call costs microseconds: what the machine had not written
when it lost power is lost.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, assert_never

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Changed, Entry, Gone, JournalUnwritable, Record
from sidecar.admission.journal_frames import FULL, FrameFile
from sidecar.admission.journal_lock import HeldError, open_locked
from sidecar.admission.journal_records import Contents, read_contents
from sidecar.domain.errors import UserError

_MISTAKES: Final = frozenset(
    {
        errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP,
        errno.ENAMETOOLONG, errno.ENXIO,
    }
)  # fmt: skip
"""What a wrong path gives. Anything else may pass, and the sidecar serves meanwhile."""


class JournalHeldError(UserError):
    """Another process holds the file."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a file that could not be read, and the file that holds them now."""

    bytes: int
    kept_in: Path


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that this process holds."""

    fd: int
    contents: Contents


def open_journal(path: Path, *, create: bool) -> Opened:
    """Open, lock and read a file. Raises HeldError, another OSError, or UserError."""
    fd = open_locked(path, create=create)
    try:
        with os.fdopen(os.dup(fd), "rb") as file:
            data = file.read()
        return Opened(fd, read_contents(data))
    except ValueError as error:
        os.close(fd)
        raise UserError(f"journal {path}: {error}; give --journal another path") from error
    except BaseException:
        os.close(fd)
        raise


class JournalFile:
    """A journal store on one file, held by one process. Not for use by several threads."""

    durable = True

    def __init__(self, path: Path, opened: Opened | None = None) -> None:
        """Open or create `path`, which is resolved once, and lock it; or take what was `opened`.

        UserError when the path is a mistake: another process holds it, it is no journal, or of
        another version. Where the disk fails instead, `problem` says so, and `recover` tries again.
        """
        self.path: Final = Path(os.path.realpath(path))
        """Where it is, symlinks resolved."""
        self._file: FrameFile | None = None
        self.problem = ""
        """Why no entry can be added, as of the last try; empty when all is well."""
        self.damage: Damage | None = None
        """What could not be read when the file was opened."""
        self.found: list[Entry] = []
        """What was owed when the file was opened, for the process to report."""
        self.kept: list[Lot] = []
        """Credits that the last clean shutdown left, to be taken over once: the file has none."""
        if opened is None:
            self._open()
        else:
            self._begin(opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def empty(self) -> bool:
        """Say whether it holds neither entries nor credits, as far as it could be read."""
        return self._file is not None and self._file.empty

    @property
    def damaged_bytes(self) -> int:
        """Count the bytes that could not be read when the file was opened."""
        return 0 if self.damage is None else self.damage.bytes

    def entries(self) -> list[Entry]:
        """Return what is owed, oldest first."""
        return [] if self._file is None else [entry for entry, _ in self._file.entries.values()]

    def append(self, record: Record) -> None:
        """Keep one record whole, or leave the file as it was and raise JournalUnwritable."""
        if self._file is None:
            raise JournalUnwritable(self.problem)
        try:
            match record:
                case Entry(charge=charge) if charge.key in self._file.entries:
                    pass  # one entry for a key is enough
                case Entry() | Lot():
                    self._file.add(record)
                    self.problem = ""
                case Changed(entry):
                    self._file.mark(entry.charge.key, entry)
                case Gone(key):
                    self._file.mark(key, None)
                case _:
                    assert_never(record)
        except ValueError as error:
            raise JournalUnwritable(f"journal {self.path}: {error}") from error
        except OSError as error:
            self._refuse(error)
            raise JournalUnwritable(self.problem) from error

    def recover(self) -> None:
        """Try again what failed: to open the file, to write to it, or to keep its name.

        What an opening finds is in `found` and `kept`.
        """
        file = self._file
        if file is not None:
            self._attempt(lambda: self._check(file))
            return
        try:
            self._open()
        except UserError as error:
            self.problem = str(error)

    def close(self) -> None:
        """Flush to the disk, and give the file up to the next process.

        A file that owes nothing is left empty.
        """
        if self._file is not None:
            with contextlib.suppress(OSError):  # the records are with the operating system
                if self.empty:
                    self._file.clear()
                self._file.flush()
        self._release()
        self.problem = f"journal {self.path}: closed"

    def delete(self) -> None:
        """Delete the file, which holds nothing any more, and close it."""
        with contextlib.suppress(OSError):  # an empty journal is harmless
            self.path.unlink()
        self.close()

    # opening

    def _open(self) -> None:
        try:
            opened = open_journal(self.path, create=True)
        except HeldError as error:
            raise JournalHeldError(
                f"journal {self.path}: another process holds it; give each process its own file"
            ) from error
        except OSError as error:
            if error.errno in _MISTAKES:
                raise UserError(
                    f"journal {self.path}: {error.strerror};"
                    " give --journal a path in a writable directory"
                ) from error
            self._refuse(error)
        else:
            self._begin(opened)

    def _begin(self, opened: Opened) -> None:
        """Bring the file into order as far as its disk allows: what it holds can be marked."""
        contents = opened.contents
        self._file = file = FrameFile(self.path, opened.fd, contents.size, contents.frames)
        self.found = self.entries()
        self._attempt(file.drop_unfinished)
        self._attempt(file.cut)
        if contents.damage:
            aside = keep_aside(self.path, contents.damage)
            self._attempt(lambda: file.rewrite(flush=True))
            if self.problem and aside is not None:  # still in the file, to be read again
                discard(aside)
                aside = None
            self.damage = Damage(len(contents.damage), aside or self.path)
        if file.credits:
            self._attempt(lambda: self._hand_out_credits(file))
        if file.empty:
            self._attempt(file.clear)
        self._attempt(file.try_room)

    def _hand_out_credits(self, file: FrameFile) -> None:
        """Take the credits into memory. Left in the file too, they could be spent twice."""
        while (record := file.take_credit()) is not None:
            self.kept.append(record)
        file.flush()

    # writing

    def _refuse(self, error: OSError) -> None:
        fix = "free space on its disk" if error.errno in FULL else "repair or remount its disk"
        self.problem = f"journal {self.path}: {error.strerror}; {fix}"

    def _attempt(self, step: Callable[[], None]) -> None:
        """Take a step that may fail without harm; `problem` says how it ended."""
        try:
            step()
        except OSError as error:
            self._refuse(error)
        else:
            self.problem = ""

    def _check(self, file: FrameFile) -> None:
        if not file.is_named:
            file.rewrite()
        elif self.problem:
            file.try_room()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None


def keep_aside(path: Path, damage: bytes) -> Path | None:
    """Write damaged bytes beside the file, for a person to look at; None when that fails."""
    for number in itertools.count(1):
        suffix = ".damaged" if number == 1 else f".damaged.{number}"
        aside = path.with_name(path.name + suffix)
        try:
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError:
            return None
        try:
            whole = os.write(fd, damage) == len(damage)
        except OSError:
            whole = False
        finally:
            os.close(fd)
        if not whole:
            discard(aside)
        return aside if whole else None
    return None


def discard(aside: Path) -> None:
    """Delete what was kept aside, if the disk lets it."""
    with contextlib.suppress(OSError):
        aside.unlink()
