"""The frames of one open journal file: added at its end, marked in place, rewritten as a whole."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sidecar.admission.journal_entries import Added, Kept
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

_PIECE_BYTES: Final = 256 * 1024  # written at once, so that a disk without room is found out early
_SMALL_FRAME: Final = 8 * UNIT


class FrameFile:
    """An open, locked file. Every method but `close` raises OSError and leaves the file whole."""

    def __init__(self, path: Path, fd: int, size: int) -> None:
        """Own `fd`, which is open at `path`; frames are added at `size`."""
        self.path = path
        self.size = size
        self._fd = fd

    @property
    def is_named(self) -> bool:
        """Say whether the file that has this name is still the open one."""
        return is_at(self._fd, self.path)

    def add(self, frame: bytes) -> FramePlace:
        """Write a frame at the end, whole or not at all."""
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

    def mark(self, place: FramePlace, record: Added | None) -> None:
        """Overwrite the marks of a frame; None: it is gone."""
        _write_whole(self._fd, encode_marks(record, place.seal), place.marks_offset)

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

    def rewrite(self, records: Iterable[Added | Kept], *, flush: bool = False) -> list[Frame]:
        """Replace the file by one that holds only these records, whole or not at all.

        The new file is locked before it gets the name. A file with another name (a hard link) is
        not replaced: its names would lead to different files.
        """
        if os.fstat(self._fd).st_nlink > 1:
            raise OSError(errno.EMLINK, "it has more than one name (hard link)")
        if self.path.exists() and not self.is_named:
            raise OSError(errno.ESTALE, "another file has its name now")
        path = _fresh(self.path)
        fd = open_fresh(path)
        try:
            frames, size = _write_all(fd, records)
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
        return frames

    def drop_unfinished(self) -> None:
        """Delete what a killed process was going to replace the file by."""
        _fresh(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the file up to the next process."""
        os.close(self._fd)


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _write_all(fd: int, records: Iterable[Added | Kept]) -> tuple[list[Frame], int]:
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
