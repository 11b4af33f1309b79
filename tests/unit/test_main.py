"""`python -m sidecar`: the command without its script."""

from __future__ import annotations

import signal
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


INTERRUPTED_IMPORT = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "sidecar.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
{before}
from sidecar.__main__ import main
sys.argv = ["bb-sidecar", "--version"]
raise SystemExit(main())
"""


def interrupted(
    before: str = "signal.signal(signal.SIGINT, signal.default_int_handler)",
) -> subprocess.CompletedProcess[str]:
    """Run the command, with Ctrl-C while its modules are imported."""
    code = INTERRUPTED_IMPORT.format(before=before)
    return subprocess.run(  # noqa: S603 - the code above
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )


def test_ctrl_c_in_the_first_moment_is_no_traceback() -> None:
    """It ends as the shell expects of a command: by the signal, without a word."""
    ran = interrupted()
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, "", "")


def test_a_command_in_the_background_keeps_ctrl_c_ignored() -> None:
    """As the shell that started it has it."""
    ran = interrupted("signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"bb-sidecar {__version__}\n", "")
