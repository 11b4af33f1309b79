"""`python -m sidecar`: the command without its script."""

from __future__ import annotations

import subprocess
import sys

from sidecar import __version__


def test_module_is_the_command() -> None:
    """It answers as `bb-sidecar` does."""
    ran = subprocess.run(
        [sys.executable, "-m", "sidecar", "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout == f"bb-sidecar {__version__}\n"


def test_exit_status_is_the_commands() -> None:
    """A mistake of the user ends with status 2, in one line."""
    ran = subprocess.run(
        [sys.executable, "-m", "sidecar", "nonsense"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
