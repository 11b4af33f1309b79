"""What `bb-sidecar version` prints."""

from __future__ import annotations

import platform

import pytest

from sidecar import __version__
from sidecar.cli import main
from sidecar.proxy import gateway


def test_the_version_names_its_build(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for a bug report: version, build, Python and machine."""
    assert main(["version"]) == 0
    line = capsys.readouterr().out
    build = "pure" if str(gateway.__file__).endswith(".py") else "compiled"
    assert line.startswith(f"bb-sidecar {__version__} ({build} build, ")
    assert platform.python_version() in line
    assert line.count("\n") == 1
