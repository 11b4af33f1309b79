"""What a field says of its setting, and how its value is found."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.settings.fields import (
    Given,
    SettingsError,
    add_flags,
    credential,
    like,
    options,
    read_section,
    setting,
)
from sidecar.settings.ranges import duration
from sidecar.settings.secret import BBAS_KEY, Secret
from sidecar.settings.values import parse_path, parse_port

KEY = "bbas_0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Some ports."""

    some: int = setting("--some-port", parse_port, "a port", default=8080)
    wait: float = setting("--wait", duration(0, 10), "a wait", env="WAIT", default=0.25)


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What must be given."""

    file: Path = setting("--file", parse_path, "a file", private=True)
    other: int = like(Ports, "some", help="another port", default=1)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Credentials."""

    key: Secret | Path | None = credential("--key", BBAS_KEY, "a key", variable="KEY", default=None)


SOME, WAIT = options(Ports)


def given(environ: dict[str, str] | None = None, **flags: str) -> Given:
    """Return what a command line and an environment say."""
    return Given(argparse.Namespace(**flags), environ or {})


def test_the_variable_follows_from_the_flag() -> None:
    """Except where it has a name of its own."""
    assert [option.env for option in options(Ports)] == ["SIDECAR_SOME_PORT", "WAIT"]


def test_what_is_not_given_is_the_default() -> None:
    """Neither flag nor variable."""
    assert given().section(Ports) == Ports(some=8080, wait=0.25)


def test_a_flag_precedes_the_variable_and_that_the_default() -> None:
    """Flag, environment variable, default."""
    environ = {"SIDECAR_SOME_PORT": "1", "WAIT": "2"}
    assert given(environ, some_port="3").section(Ports) == Ports(some=3, wait=2)


def test_what_is_required_and_missing_is_a_problem() -> None:
    """It names both places where it could have been given."""
    found = given()
    assert found.section(Needed) is None
    assert found.problems == ["--file or SIDECAR_FILE is required: a file"]


def test_a_problem_names_where_the_value_came_from() -> None:
    """The variable, not the flag that was not typed; the default stands in for the value."""
    found = given({"SIDECAR_SOME_PORT": "x"})
    assert found.section(Ports) == Ports()
    assert found.problems == [
        "SIDECAR_SOME_PORT: 'x' is not a port: give a whole number from 0 to 65535"
    ]
    assert found.wrong == {"--some-port"}


def test_a_private_value_is_not_repeated() -> None:
    """It may hold a password."""
    found = given(file="a\0b")
    assert found.section(Needed) is None
    assert found.problems == ["--file: the value is not a path: name a file"]


def test_a_long_value_is_cut() -> None:
    """A pasted file must not fill the terminal."""
    found = given(some_port="x" * 5000)
    found.section(Ports)
    assert len(found.problems[0]) < 200


def test_defaults_read_as_a_user_would_write_them() -> None:
    """Durations with their unit, nothing as `none`."""
    texts = [option.default_text for option in options(Ports, Needed, Keys)]
    assert texts == ["8080", "250ms", "required", "1", "none"]


def test_the_meaning_has_the_limits_and_the_variable() -> None:
    """Each is written once, in the field."""
    (key,) = options(Keys)
    assert (WAIT.meaning, key.meaning) == ("a wait (0s to 10s)", "a key; else the variable KEY")


def test_a_setting_of_another_section_is_the_same_but_for_what_changes() -> None:
    """A command has the flag and the variable of `run`."""
    _, other = options(Needed)
    assert (other.flag, other.env, other.default) == (SOME.flag, SOME.env, 1)
    assert (SOME.help, other.help) == ("a port", "another port")


def test_a_section_is_a_group_of_flags(capsys: pytest.CaptureFixture[str]) -> None:
    """Under its docstring's first line, with variable and default."""
    parser = argparse.ArgumentParser()
    add_flags(parser, Ports, Keys)
    parser.print_help()
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "Some ports: --some-port SOME_PORT a port (env SIDECAR_SOME_PORT; default: 8080)" in shown
    )
    assert parser.parse_args([]).key is None


def test_a_section_read_alone_raises_its_problems() -> None:
    """One line for each."""
    with pytest.raises(SettingsError, match=r"^--some-port: .*\nWAIT: ") as raised:
        read_section(Ports, argparse.Namespace(some_port="x"), {"WAIT": "1h"})
    assert len(raised.value.problems) == 2
    with pytest.raises(SettingsError, match="is required"):
        read_section(Needed, argparse.Namespace(), {})


def test_a_file_is_taken_before_a_variable(tmp_path: Path) -> None:
    """As its path: it is read again when it changes."""
    path = tmp_path / "key"
    path.write_text(KEY)
    environ = {"SIDECAR_KEY": str(path), "KEY": "bbas_other_0123456789"}
    assert given(environ).section(Keys) == Keys(key=path)


def test_a_variable_is_taken_as_its_value() -> None:
    """Where no file is named."""
    assert given({"KEY": KEY}).section(Keys) == Keys(key=Secret(KEY))


def test_a_bad_file_is_a_problem_and_the_variable_is_not_taken(tmp_path: Path) -> None:
    """Falling back to the variable would hide a failed mount until the key is rotated."""
    path = tmp_path / "absent"
    found = given({"KEY": KEY}, key=str(path))
    assert found.section(Keys) == Keys(key=None)
    (problem,) = found.problems
    assert problem.startswith(f"--key: '{path}' cannot be read: No such file or directory: mount")


def test_a_bad_credential_is_not_repeated() -> None:
    """What a problem says ends in a log."""
    found = given({"KEY": "hunter2 hunter2"})
    assert found.section(Keys) == Keys(key=None)
    assert found.problems[0].startswith("KEY: the value has spaces")
    assert "hunter2" not in found.problems[0]


def test_an_error_holds_one_line_for_each_problem() -> None:
    """Shown on stderr as they are."""
    assert str(SettingsError(("a", "b"))) == "a\nb"
