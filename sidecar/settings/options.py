"""What a setting is, and how its value is found: flag over environment over default."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from sidecar.domain.errors import UserError
from sidecar.settings.values import show_seconds

T = TypeVar("T")

_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """One row of the table: its names, how it is read, and what it is when it is not given."""

    flag: str
    env: str
    parse: Callable[[str], T]
    default: T | None
    help: str
    shown: str | None = None  # the default in words, where the value does not say it
    required: bool = False
    private: bool = False  # a problem does not repeat the value
    ours: bool = False  # not in the interface: may grow a better name, with notice

    @property
    def name(self) -> str:
        """The attribute of the parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def default_text(self) -> str:
        """The default as a user would write it, or in words."""
        if self.shown is not None:
            return self.shown
        if self.required:
            return "required"
        if isinstance(self.default, float):
            return show_seconds(self.default)
        return "none" if self.default is None else str(self.default)


class SettingsError(UserError):
    """Every problem of the settings at once, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Given:
    """The values of every row, and the problems met on the way."""

    def __init__(
        self,
        options: Iterable[Option[Any]],
        args: argparse.Namespace,
        environ: Mapping[str, str],
    ) -> None:
        self.problems: list[str] = []
        self._environ = environ
        self._values: dict[str, object] = {o.name: self._read(o, args) for o in options}

    def __getitem__(self, option: Option[T]) -> T:
        return cast("T", self._values[option.name])

    def optional(self, option: Option[T]) -> T | None:
        """Return a value that need not be there."""
        return cast("T | None", self._values[option.name])

    def _read(self, option: Option[T], args: argparse.Namespace) -> T | None:
        text: str | None = getattr(args, option.name, None)
        where = option.flag
        if text is None:
            text, where = self._environ.get(option.env) or None, option.env
        if text is None:
            if option.required:
                self.problems.append(f"{option.flag} or {option.env} is required: {option.help}")
            return option.default
        try:
            return option.parse(text)
        except ValueError as problem:
            # A URL's password is a mistake, and no reason to print it.
            hidden = option.private or "@" in text
            self.problems.append(f"{where}: {'the value' if hidden else _quoted(text)} {problem}")
            return option.default


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…")
