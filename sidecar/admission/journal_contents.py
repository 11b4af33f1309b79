"""Opens a journal file and reads it, of whichever version; keeps aside what is damaged in it."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from sidecar.admission import journal_version1 as version1
from sidecar.admission.journal_lock import open_locked, refuse_if_held_by_version1
from sidecar.admission.journal_records import (
    FILE_HEAD,
    MAGIC,
    UNIT,
    Frame,
    FramePlace,
    holds_frames,
    scan,
)
from sidecar.domain.errors import UserError


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, and where the next frame can be written.

    `old`: it is of version 1, and has to be rewritten first. `damage`: bytes that are no record.
    """

    frames: tuple[Frame, ...]
    damage: bytes
    size: int
    old: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that this process holds. On a read-only file system it is not `writable`."""

    fd: int
    writable: bool
    contents: Contents


def open_journal(path: Path, *, create: bool) -> Opened:
    """Open, lock and read a file. Raises HeldError, another OSError, or UserError."""
    fd, writable = open_locked(path, create=create)
    try:
        with os.fdopen(os.dup(fd), "rb") as file:
            data = file.read()
        contents = read_contents(data)
        if contents.old:
            refuse_if_held_by_version1(path)
        return Opened(fd, writable, contents)
    except ValueError as error:
        os.close(fd)
        raise UserError(f"journal {path}: {error}; give --journal another path") from error
    except BaseException:
        os.close(fd)
        raise


def read_contents(data: bytes) -> Contents:
    """Read a file of any version. ValueError when it is none, or of one that is unknown."""
    if data.startswith(FILE_HEAD) or FILE_HEAD.startswith(data) or holds_frames(data):
        scanned = scan(data)
        damage = b"".join(data[start:end] for start, end in scanned.damage)
        size = -(-scanned.end // UNIT) * UNIT
        return Contents(scanned.frames, damage, size, old=False)
    if data.startswith(version1.FILE_HEAD) or version1.holds_records(data):
        log = version1.scan(data)
        nowhere = FramePlace(0, 0, 0)
        frames = tuple(Frame(nowhere, each) for each in version1.balance_of(log.records))
        damage = b"".join(data[start:end] for start, end in log.damage)
        return Contents(frames, damage, 0, old=True)
    raise ValueError("of another version" if data.startswith(MAGIC) else "not a journal")


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
