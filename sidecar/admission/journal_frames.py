"""The frames of one open journal file: added at its end, marked in place, rewritten as a whole.

Marks are written in place. So on a full disk only new entries fail; those that are in the file
can be reported.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Entry
from sidecar.admission.journal_lock import is_at, open_fresh
from sidecar.admission.journal_records import (
    FILE_HEAD,
    UNIT,
    Frame,
    FramePlace,
    encode,
    encode_marks,
    place_of,
)

COMPACT_BYTES: Final = 1024 * 1024
"""A file smaller than this is not rewritten while the process runs and its disk has room."""

MAX_FRAME: Final = 64 * 1024
"""No record is longer, in bytes: the call that it is for does not pass."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk without room gives."""

_WASTE: Final = 4  # rewritten when this many times as long as what it holds: then it is quick
_PIECE_BYTES: Final = 256 * 1024  # written at once, so that a disk without room is found out early
_SMALL_FRAME: Final = 8 * UNIT


class FrameFile:
    """An open, locked file, and what it holds: entries by key, oldest first, and credits.

    Every method but `close` raises OSError and leaves the file whole.
    """

    def __init__(self, path: Path, fd: int, size: int, frames: Iterable[Frame]) -> None:
        """Own `fd`, which is open at `path` and holds `frames`; more are added at `size`."""
        self.path = path
        self.size = size
        self.entries: Final[dict[str, tuple[Entry, FramePlace]]] = {}
        self.credits: Final[list[tuple[Lot, FramePlace]]] = []
        self._fd = fd
        self._live_bytes = 0
        self._compact_at = COMPACT_BYTES
        self._room_below = math.inf
        self._hold(frames)

    @property
    def is_named(self) -> bool:
        """Say whether the file that has this name is still the open one."""
        return is_at(self._fd, self.path)

    @property
    def empty(self) -> bool:
        """Say whether it holds neither entries nor credits."""
        return not self.entries and not self.credits

    def add(self, record: Entry | Lot) -> None:
        """Write a record at the end, whole or not at all; ValueError where it can be none."""
        frame = encode(record)
        if len(frame) > MAX_FRAME:
            raise ValueError(f"a record of {len(frame)} bytes is over {MAX_FRAME}")
        try:
            place = self._write(frame)
        except OSError as error:
            if error.errno not in FULL or not self._make_room():
                raise
            place = self._write(frame)
        self._hold([Frame(place, record)])
        self._compact_if_long()

    def mark(self, key: str, changed: Entry | None) -> None:
        """Overwrite the marks of an entry by those of `changed`; None: it is gone.

        A key that is not there changes nothing.
        """
        if key not in self.entries:
            return
        _, place = self.entries[key]
        if changed is not None:
            self._mark(place, changed)
            self.entries[key] = (changed, place)
            return
        self._mark(place, None)
        del self.entries[key]
        self._live_bytes -= place.size
        self._compact_if_long()

    def take_credit(self) -> Lot | None:
        """Take one credit out of the file; None where it has no more."""
        if not self.credits:
            return None
        record, place = self.credits[-1]
        self._mark(place, None)
        self.credits.pop()
        self._live_bytes -= place.size
        return record

    def cut(self) -> None:
        """Take away what is behind the last frame: a write that was cut off."""
        os.ftruncate(self._fd, self.size)

    def clear(self) -> None:
        """Make the file empty."""
        os.ftruncate(self._fd, 0)
        self.size = 0

    def try_room(self) -> None:
        """Write as much as a small frame behind the end, and take it back. Zeros are no damage."""
        try:
            _write_whole(self._fd, bytes(_SMALL_FRAME), self.size)
        finally:
            self.cut()

    def flush(self) -> None:
        """Bring all that was written to the disk."""
        os.fsync(self._fd)

    def rewrite(self, *, flush: bool = False) -> None:
        """Replace the file by one that holds only what is not gone, whole or not at all.

        The new file is locked before it gets the name. A file with another name (a hard link) is
        not replaced: its names would lead to different files.
        """
        if os.fstat(self._fd).st_nlink > 1:
            raise OSError(errno.EMLINK, "it has more than one name (hard link)")
        if self.path.exists() and not self.is_named:
            raise OSError(errno.ESTALE, "another file has its name now")
        kept: list[Entry | Lot] = [entry for entry, _ in self.entries.values()]
        kept += [lot for lot, _ in self.credits]
        path = _fresh(self.path)
        fd = open_fresh(path)
        try:
            frames, size = _write_all(fd, kept)
            if flush:
                os.fsync(fd)
            path.replace(self.path)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd = fd
        self.size = size
        self.entries.clear()
        self.credits.clear()
        self._live_bytes = 0
        self._hold(frames)

    def drop_unfinished(self) -> None:
        """Delete what a killed process was going to replace the file by."""
        _fresh(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the file up to the next process."""
        os.close(self._fd)

    def _write(self, frame: bytes) -> FramePlace:
        head = b"" if self.size else FILE_HEAD
        try:
            _write_whole(self._fd, head + frame, self.size)
        except OSError:
            with contextlib.suppress(OSError):  # the next write is at the same place
                self.cut()
            raise
        place = place_of(frame, self.size + len(head))
        self.size = place.offset + place.size
        return place

    def _mark(self, place: FramePlace, record: Entry | None) -> None:
        _write_whole(self._fd, encode_marks(record, place.seal), place.marks_offset)

    def _hold(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            match frame.record:
                case Entry() as entry:
                    self.entries[entry.charge.key] = (entry, frame.place)
                case Lot() as lot:
                    self.credits.append((lot, frame.place))
            self._live_bytes += frame.place.size

    # shortening

    def _compact_if_long(self) -> None:
        if self.size <= self._compact_at or self.size <= _WASTE * self._live_bytes:
            return
        try:
            self._compact()
        except OSError:
            # The long file is as good as the short one; try again when it has grown as much again.
            self._compact_at = 2 * self.size
        else:
            self._compact_at = max(COMPACT_BYTES, 2 * self.size)

    def _make_room(self) -> bool:
        """Try to shorten the file on a full disk; say whether it is shorter."""
        if 2 * self._live_bytes > self.size or self._live_bytes >= self._room_below:
            return False
        before = self.size
        try:
            self._compact()
        except OSError:
            self._room_below = self._live_bytes / 2  # not at each call of a long outage
            return False
        self._room_below = math.inf
        return self.size < before

    def _compact(self) -> None:
        if self.empty:
            self.clear()
        else:
            self.rewrite()


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _write_all(fd: int, records: Iterable[Entry | Lot]) -> tuple[list[Frame], int]:
    """Write a whole file; return its frames and its size."""
    frames: list[Frame] = []
    piece, written = bytearray(FILE_HEAD), 0
    for record in records:
        frame = encode(record)
        frames.append(Frame(place_of(frame, written + len(piece)), record))
        piece += frame
        if len(piece) >= _PIECE_BYTES:
            _write_whole(fd, piece, written)
            written += len(piece)
            piece = bytearray()
    _write_whole(fd, piece, written)
    return frames, written + len(piece)


def _write_whole(fd: int, data: bytes | bytearray, at: int) -> None:
    """Write all of `data` or raise OSError; some of it may have been written then."""
    if os.pwrite(fd, data, at) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
