"""Opens a journal's file for one process alone. The lock is on the file itself, not on its name.

So a symlink, a hard link or another mount path leads to the same lock. A file may be replaced
between opening and locking it; then the one that has its name now is tried.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Final

_TRIES: Final = 5
_WAIT_SECONDS: Final = 0.02
"""Between two tries: a process that takes a journal over holds it under its old name this long."""

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class HeldError(OSError):
    """Another process holds the file."""


def open_locked(path: Path, *, create: bool) -> int:
    """Open and lock the file, which is no symlink. Raises HeldError, or another OSError.

    With `create`, a process that holds the file is waited for: it may be renaming it.
    """
    for _ in range(_TRIES if create else 1):
        fd = os.open(path, _WRITE | (os.O_CREAT if create else 0), 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.ENXIO, "not a regular file")  # noqa: TRY301 - as open raises it
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(fd, path):
                return fd
        except BlockingIOError:
            if create:
                time.sleep(_WAIT_SECONDS)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise HeldError(errno.EWOULDBLOCK, "another process holds it")


def open_fresh(path: Path) -> int:
    """Make an empty, locked file, which no process holds. Raises OSError."""
    fd = os.open(path, _WRITE | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_held(path: Path) -> bool:
    """Say whether a process holds the file now, without a wait."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return False  # not there; or what opening it will say
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    finally:
        os.close(fd)
    return False


def is_at(fd: int, path: Path) -> bool:
    """Say whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False
