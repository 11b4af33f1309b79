"""A platform credential: a value that does not print, and where it is read from again."""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from typing_extensions import override

from sidecar.domain.errors import UserError

_log = logging.getLogger("sidecar.key")

BBAS_KEY: Final = "bbas_ key"
BBK_KEY: Final = "bbk_ key"
WEBHOOK_SECRET: Final = "webhook secret"  # noqa: S105 - what one is called
"""What a credential is called in messages."""

_TAKEN_FOR: Final = {BBAS_KEY: "bbk_", BBK_KEY: "bbas_"}
"""The prefix of the key that is given by mistake in place of another: one page shows both."""

_MAX_KEY_CHARS: Final = 4096
_QUOTES: Final = frozenset("'\"`")
_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+")
_LOOK_EVERY: Final = 1.0
"""Seconds between two checks of the file: one stat a second is cheap."""


class Secret:
    """A credential that shows itself only when asked by name, never in a repr, log or f-string."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value: for the wire, and for registering it with the redaction of logs."""
        return self._value

    @override
    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    @override
    def __hash__(self) -> int:
        return hash(self._value)


def parse_key(text: str, what: str = BBAS_KEY) -> Secret:
    """Parse a platform key from a file or variable; white space around it is dropped.

    `what` names the kind of credential in messages. Raises ValueError, without the value, when it
    could not be sent as a header field, or is one of the other kind.
    """
    key = text.strip()
    if not key:
        raise ValueError(f"is empty: put the platform's {what} there")
    if len(key) > _MAX_KEY_CHARS:
        raise ValueError(f"is longer than {_MAX_KEY_CHARS} characters: give one {what}, no more")
    if not _VISIBLE_ASCII.fullmatch(key):
        raise ValueError(f"has spaces, line breaks or non-ASCII characters: give one {what}")
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        raise ValueError(f"is in quotes: give the {what} without them")
    other = _TAKEN_FOR.get(what)
    if other and key.startswith(other):
        raise ValueError(f"is a {other} key: give the {what}")
    return Secret(key)


def key_in(path: Path, what: str = BBAS_KEY) -> Secret:
    """Read a key file. Raises ValueError that says what is wrong, never what the file holds."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_KEY_CHARS + 64).decode("ascii")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"cannot be read: {reason}: mount the secret there, readable") from error
    except UnicodeDecodeError:
        raise ValueError(f"is not ASCII text: put one {what} there") from None
    return parse_key(text, what)


def read_key_file(path: Path, what: str = BBAS_KEY) -> Secret:
    """Read a key file. Raises UserError that names the file and the fix."""
    try:
        return key_in(path, what)
    except ValueError as error:
        raise UserError(f"key file {path}: {error}") from error


class KeySource:
    """The key to send now. A file is checked again, at most once a second, when a key is needed.

    A file that is gone or became unusable never raises: the last good key is kept, and the log says
    so once for each change. `on_change` receives each new key before it is used, so that the
    redaction of logs has it first.
    """

    def __init__(
        self,
        source: Secret | Path,
        *,
        what: str = BBAS_KEY,
        monotonic: Callable[[], float] = time.monotonic,
        on_change: Callable[[Secret], None] | None = None,
    ) -> None:
        """Read the file, if it is one. Raises UserError when it holds no usable key."""
        self._what = what
        self._monotonic = monotonic
        self._on_change = on_change
        self._path = source if isinstance(source, Path) else None
        self._look_at = monotonic() + _LOOK_EVERY
        self._seen: tuple[int, ...] | None = None
        if self._path is not None:
            self._seen = _stamp(self._path)
        secret = read_key_file(source, what) if isinstance(source, Path) else source
        self._key = secret.reveal()
        if on_change is not None:
            on_change(secret)

    def current(self) -> str:
        """Return the key in force, for the field that carries it. Never raises."""
        if self._path is not None and self._monotonic() >= self._look_at:
            self._look(self._path)
        return self._key

    def _look(self, path: Path) -> None:
        self._look_at = self._monotonic() + _LOOK_EVERY
        stamp = _stamp(path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            secret = read_key_file(path, self._what)
        except UserError as error:
            _log.warning("key_file_rejected", extra={"problem": str(error)})
            return
        if secret.reveal() == self._key:
            return
        if self._on_change is not None:
            self._on_change(secret)
        self._key = secret.reveal()
        _log.info("key_file_reloaded", extra={"path": str(path)})


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what differs between two states of a file; symlinks are followed to the file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
