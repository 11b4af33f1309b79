from __future__ import annotations

import argparse

from sidecar.settings.options import Given, Option, SettingsError
from sidecar.settings.values import parse_port

PORT = Option("--some-port", "SOME_PORT", parse_port, 8080, "a port")
NEEDED = Option("--needed", "NEEDED", parse_port, None, "a port", required=True)


def test_a_flag_names_its_attribute() -> None:
    """As argparse would."""
    assert PORT.name == "some_port"


def test_what_is_not_given_is_the_default() -> None:
    """Neither flag nor variable."""
    assert Given([PORT], argparse.Namespace(), {})[PORT] == 8080


def test_what_is_required_and_missing_is_a_problem() -> None:
    """It names both places where it could have been given."""
    given = Given([NEEDED], argparse.Namespace(needed=None), {})
    assert given.problems == ["--needed or NEEDED is required: a port"]


def test_a_problem_names_where_the_value_came_from() -> None:
    """The variable, not the flag nobody typed."""
    given = Given([PORT], argparse.Namespace(some_port=None), {"SOME_PORT": "x"})
    assert given.problems == ["SOME_PORT: 'x' is not a port: give a whole number from 0 to 65535"]


def test_a_long_value_is_cut() -> None:
    """A pasted file must not fill the terminal."""
    given = Given([PORT], argparse.Namespace(some_port="x" * 5000), {})
    assert len(given.problems[0]) < 200


def test_defaults_read_as_a_user_would_write_them() -> None:
    """Durations with their unit, nothing as `none`."""
    seconds = Option("--t", "T", float, 0.25, "t")
    assert (seconds.default_text, NEEDED.default_text) == ("250ms", "required")


def test_an_error_holds_one_line_for_each_problem() -> None:
    """Shown on stderr as they are."""
    assert str(SettingsError(("a", "b"))) == "a\nb"
