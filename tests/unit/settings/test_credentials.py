"""A credential is found where the settings say, and an unusable one is a problem."""

from __future__ import annotations

import argparse
from pathlib import Path

from sidecar.settings.credentials import find_credential
from sidecar.settings.options import Given
from sidecar.settings.run import KEY_FILE, KEY_VARIABLE
from sidecar.settings.secret import BBAS_KEY, Secret

KEY = "bbas_0123456789abcdef"


def found(environ: dict[str, str]) -> tuple[Secret | Path | None, list[str]]:
    """Return what is found in an environment, and the problems."""
    given = Given((KEY_FILE,), argparse.Namespace(), environ)
    return find_credential(given, environ, KEY_FILE, KEY_VARIABLE, BBAS_KEY), given.problems


def test_a_file_is_taken_before_a_variable(tmp_path: Path) -> None:
    """As its path: it is read again when it changes."""
    path = tmp_path / "key"
    path.write_text(KEY)
    assert found({KEY_FILE.env: str(path), KEY_VARIABLE: "bbas_other_0123456789"}) == (path, [])


def test_a_variable_is_taken_as_its_value() -> None:
    """Where no file is named."""
    key, problems = found({KEY_VARIABLE: KEY})
    assert isinstance(key, Secret)
    assert (key.reveal(), problems) == (KEY, [])


def test_none_is_no_problem_here() -> None:
    """Whether it is required is the setting's own matter."""
    assert found({}) == (None, [])


def test_an_unusable_one_is_a_problem_that_does_not_repeat_it(tmp_path: Path) -> None:
    """A file that is not there, and a value that is no key."""
    key, problems = found({KEY_FILE.env: str(tmp_path / "no"), KEY_VARIABLE: KEY})
    assert key is None
    assert len(problems) == 1
    key, [problem] = found({KEY_VARIABLE: "hunter2 hunter2"})
    assert key is None
    assert KEY_VARIABLE in problem
    assert "hunter2" not in problem
