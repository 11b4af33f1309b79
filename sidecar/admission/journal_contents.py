"""Opens a journal file and reads it; keeps aside what is damaged in it."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from sidecar.admission.journal_lock import open_locked
from sidecar.admission.journal_records import Contents, read_contents
from sidecar.domain.errors import UserError


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
