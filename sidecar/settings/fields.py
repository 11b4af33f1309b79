"""A setting is a field of a frozen dataclass, its section, and its metadata says the rest.

Flag, environment variable, default, help and limit are written once, in the field. The flags of the
commands, their help, docs/settings.md and the tests of the chart are made from it.
Precedence: flag, environment variable, default.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast, overload

from sidecar.domain.errors import UserError
from sidecar.settings.ranges import Ranged, show_seconds
from sidecar.settings.secret import key_in, parse_key
from sidecar.settings.values import parse_path

T = TypeVar("T")
D = TypeVar("D")

_SHOWN_CHARS: Final = 80
_KEY: Final = "option"
_REQUIRED: Final = dataclasses.MISSING


class SettingsError(UserError):
    """Every problem of the settings at once, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """What is written of one setting."""

    flag: str
    env: str
    parse: Callable[[str], Any]
    help: str
    default: Any
    shown: str  # the default in words, where the value does not say it
    private: bool = False  # a problem does not repeat the value
    variable: str = ""  # the variable that holds a credential itself, where no file is named
    kind: str = ""  # what that credential is called in messages

    @property
    def name(self) -> str:
        """The attribute of the parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is _REQUIRED

    @property
    def default_text(self) -> str:
        """The default as a user would write it, or in words."""
        if self.shown or self.required:
            return self.shown or "required"
        if isinstance(self.default, float):
            return show_seconds(self.default)
        return "none" if self.default is None else str(self.default)

    @property
    def meaning(self) -> str:
        """The help with what limits the value."""
        allowed = f" ({self.parse.allowed})" if isinstance(self.parse, Ranged) else ""
        variable = f"; else the variable {self.variable}" if self.variable else ""
        return self.help + allowed + variable


@overload
def setting(
    flag: str, parse: Callable[[str], T], text: str, /, *, env: str = "", private: bool = False
) -> T: ...
@overload
def setting(
    flag: str, parse: Callable[[str], T], text: str, /, *,
    default: D, env: str = "", shown: str = "", private: bool = False,
) -> T | D: ...  # fmt: skip
def setting(
    flag: str, parse: Callable[[str], Any], text: str, /, *,
    default: object = _REQUIRED, env: str = "", shown: str = "", private: bool = False,
) -> object:  # fmt: skip
    """Make the field of a setting; without a default it is required.

    `env` is SIDECAR_ and the flag's name where none is given; `shown` says the default in words.
    """
    env = env or "SIDECAR_" + flag.removeprefix("--").replace("-", "_").upper()
    return _field(Option(flag, env, parse, text, default, shown, private))


def credential(
    flag: str, kind: str, text: str, /, *,
    variable: str, default: object = _REQUIRED, shown: str = "",
) -> Any:  # fmt: skip  # noqa: ANN401 - the field has its type: Secret | Path, or that and None
    """Make the field of a credential: the path of its file, else the value of `variable`.

    The file is read when the settings are, and again when it changes. `kind` is what the
    credential is called in messages.
    """
    field: Any = setting(flag, _key_file(kind), text, default=default, shown=shown)
    return _field(dataclasses.replace(_option(field), variable=variable, kind=kind))


def like(section: type, name: str, **changes: Any) -> Any:  # noqa: ANN401 - as above
    """Make the field of a setting that is also in another section."""
    (field,) = (each for each in dataclasses.fields(section) if each.name == name)
    return _field(dataclasses.replace(_option(field), **changes))


def options(*sections: type) -> tuple[Option, ...]:
    """Return every setting of some sections."""
    return tuple(_option(field) for section in sections for field in dataclasses.fields(section))


def add_flags(parser: argparse.ArgumentParser, *sections: type) -> None:
    """Add the flags of sections, a group each; a flag that is not given leaves None."""
    for section in sections:
        group = parser.add_argument_group((section.__doc__ or "").partition("\n")[0].rstrip("."))
        for each in options(section):
            text = f"{each.meaning} (env {each.env}; default: {each.default_text})"
            metavar = each.name.upper()
            group.add_argument(
                each.flag, dest=each.name, metavar=metavar, help=text.replace("%", "%%")
            )


class Given:
    """What a command line and an environment say, and the problems met on the way."""

    def __init__(self, args: argparse.Namespace, environ: Mapping[str, str]) -> None:
        """Read nothing yet. An empty variable counts as unset."""
        self.problems: list[str] = []
        self.wrong: set[str] = set()
        """The flags of the settings that had a value, and a wrong one."""
        self._args = args
        self._environ = environ

    def section(self, kind: type[T]) -> T | None:
        """Read a section; None where a required value of it is missing or wrong.

        In place of any other value that is wrong, it has the default.
        """
        fields = dataclasses.fields(cast("Any", kind))
        values = {field.name: self._read(_option(field)) for field in fields}
        return None if any(each is _REQUIRED for each in values.values()) else kind(**values)

    def done(self) -> None:
        """Raise SettingsError where there were problems."""
        if self.problems:
            raise SettingsError(tuple(self.problems))

    def _read(self, option: Option) -> Any:  # noqa: ANN401 - the field has its type
        found = next(self._sources(option), None)
        if found is None:
            if option.required:
                *others, last = filter(None, (option.flag, option.env, option.variable))
                self.problems.append(f"{', '.join(others)} or {last} is required: {option.help}")
            return option.default
        where, text, parse = found
        try:
            return parse(text)
        except ValueError as problem:
            # A password in a URL is a mistake, and must not be printed for that.
            self.wrong.add(option.flag)
            hidden = option.private or where == option.variable or "@" in text
            self.problems.append(f"{where}: {'the value' if hidden else _quoted(text)} {problem}")
            return option.default

    def _sources(self, option: Option) -> Iterator[tuple[str, str, Callable[[str], Any]]]:
        flag: str | None = getattr(self._args, option.name, None)
        if flag is not None:
            yield option.flag, flag, option.parse
        if text := self._environ.get(option.env):
            yield option.env, text, option.parse
        if text := self._environ.get(option.variable):
            yield option.variable, text, lambda value: parse_key(value, option.kind)


def read_section(kind: type[T], args: argparse.Namespace, environ: Mapping[str, str]) -> T:
    """Read one section by itself. Raises SettingsError with every problem."""
    given = Given(args, environ)
    section = given.section(kind)
    given.done()
    if section is None:  # a required value is missing, which is a problem
        raise AssertionError(kind)
    return section


def _field(option: Option) -> Any:  # noqa: ANN401 - the field has its type
    return dataclasses.field(default=option.default, metadata={_KEY: option})


def _option(field: dataclasses.Field[Any]) -> Option:
    return cast("Option", field.metadata[_KEY])


def _key_file(kind: str) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        path = parse_path(text)
        key_in(path, kind)
        return path

    return parse


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…")
