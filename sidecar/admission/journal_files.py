"""The journals of one sidecar: a file for each worker, and those that no process holds any more.

The files are `FILE`, `FILE.1`, `FILE.2`, ... A process that has no number takes the first that no
other one holds. A process that takes one over renames it first, to `FILE.taken-...`: then a new
worker can have the old name. Entries stay in the file that they are in and are marked there, so
that at no moment an entry is in no file or in two. The lock decides between two processes. An
emptied file that was taken over is deleted.
"""

from __future__ import annotations

import glob
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Changed, Entry, Gone, Record
from sidecar.admission.journal_file import Damage, JournalFile, JournalHeldError, open_journal
from sidecar.admission.journal_lock import HeldError, is_held
from sidecar.domain.errors import UserError
from sidecar.domain.model import Charge

MOST_PROCESSES: Final = 64
"""As many as `--workers` may have."""

_SUFFIX: Final = re.compile(r"\.(?:[0-9]+|taken-[0-9a-f]{8})")
_TAKEN: Final = re.compile(r".*\.taken-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A journal that no process holds and that cannot be taken over, and why."""

    path: Path
    why: str


class JournalFiles:
    """A journal store on this process's own file, and on those that it has taken over."""

    durable = True

    def __init__(self, path: Path, worker: int = 0) -> None:
        """Open the file of this worker, counted from 0. UserError as for `JournalFile`."""
        self._path = Path(os.path.realpath(path))
        self._own = JournalFile(_name(self._path, worker))
        self._taken: list[JournalFile] = []
        self._holders: dict[str, JournalFile] = {}
        self._damage: dict[Damage, None] = {}
        self._note_damage(self._own)

    @classmethod
    def first_free(cls, path: Path) -> Self:
        """Open the first file of this name that no process holds: for processes without a number.

        UserError as for `JournalFile`, and where too many processes hold one.
        """
        real = Path(os.path.realpath(path))
        for worker in range(MOST_PROCESSES):
            if is_held(_name(real, worker)):
                continue
            try:
                return cls(path, worker)
            except JournalHeldError:
                continue  # another process was quicker
        raise UserError(
            f"journal {path}: {MOST_PROCESSES} processes hold the files of this name;"
            " give each product its own path"
        )

    @property
    def problem(self) -> str:
        """Why no entry can be added; empty when all is well."""
        return self._own.problem

    @property
    def damage(self) -> list[Damage]:
        """List what could not be read in the files opened so far."""
        return list(self._damage)

    @property
    def damaged_bytes(self) -> int:
        """Count the bytes that could not be read in the files opened so far."""
        return sum(damage.bytes for damage in self._damage)

    def append(self, record: Record) -> None:
        """Keep one record before returning; JournalUnwritable when that cannot be done."""
        match record:
            case Changed(Entry(charge=Charge(key=key))) | Gone(key) if key in self._holders:
                self._mark(self._holders[key], record, key)
            case _:
                self._own.append(record)

    def recover(self) -> None:
        """Try again what failed with the files of this process."""
        for file in (self._own, *self._taken):
            file.recover()
            self._note_damage(file)

    def take_found(self, known: Callable[[str], bool]) -> tuple[list[Entry], list[Lot]]:
        """Hand out entries and credits that were found in the files, each once.

        An entry of another process whose key is `known`, because this one has an entry for it too,
        waits until that is gone.
        """
        entries = [entry for entry in self._own.found if not known(entry.charge.key)]
        self._own.found.clear()
        kept: list[Lot] = []
        for file in (self._own, *self._taken):
            kept += file.kept
            file.kept.clear()
        handed_out = {entry.charge.key for entry in entries}
        for file in list(self._taken):
            waiting = []
            for entry in file.found:
                key = entry.charge.key
                if known(key) or key in handed_out:
                    waiting.append(entry)
                    continue
                handed_out.add(key)
                self._holders[key] = file
                entries.append(entry)
            file.found[:] = waiting
            self._drop_if_empty(file)
        return entries, kept

    def take_over(self) -> list[LeftBehind]:
        """Take over every journal of this name that no process holds; list those that cannot be."""
        left: list[LeftBehind] = []
        try:
            others = self._others()
        except OSError as error:
            return [LeftBehind(self._path.parent, error.strerror or str(error))]
        for path in others:
            try:
                self._take_over(path)
            except OSError as error:
                left.append(LeftBehind(path, error.strerror or str(error)))
            except UserError as error:
                left.append(LeftBehind(path, str(error)))
        return left

    def close(self) -> None:
        """Give all files up to the next process."""
        for file in (self._own, *self._taken):
            file.close()

    def _note_damage(self, file: JournalFile) -> None:
        if file.damage is not None:
            self._damage[file.damage] = None

    def _mark(self, file: JournalFile, record: Record, key: str) -> None:
        file.append(record)
        if isinstance(record, Gone):
            del self._holders[key]
            self._drop_if_empty(file)

    def _drop_if_empty(self, file: JournalFile) -> None:
        if file.empty:
            file.delete()
            self._taken.remove(file)

    def _others(self) -> list[Path]:
        """List the journals of this name that this process does not hold."""
        ours = {file.path for file in (self._own, *self._taken)}
        found: dict[Path, None] = {}
        for path in sorted(self._path.parent.glob(f"{glob.escape(self._path.name)}*")):
            suffix = path.name.removeprefix(self._path.name)
            if (not suffix or _SUFFIX.fullmatch(suffix)) and path.exists():
                found[Path(os.path.realpath(path))] = None
        return [path for path in found if path not in ours]

    def _take_over(self, path: Path) -> None:
        try:
            opened = open_journal(path, create=False)
        except (HeldError, FileNotFoundError):
            return  # the process that holds it, or had it, reports it
        try:
            name = path if _TAKEN.fullmatch(path.name) else path.rename(self._name_for_taken())
        except BaseException:
            os.close(opened.fd)
            raise
        file = JournalFile(name, opened)
        self._taken.append(file)
        self._note_damage(file)

    def _name_for_taken(self) -> Path:
        return self._path.with_name(f"{self._path.name}.taken-{secrets.token_hex(4)}")


def _name(path: Path, worker: int) -> Path:
    return path.with_name(f"{path.name}.{worker}") if worker else path
