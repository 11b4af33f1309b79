from __future__ import annotations

import signal
import subprocess
import sys

PROGRAM = """
import os, signal, sys
from sidecar.app.early_signals import end_on_sigterm
end_on_sigterm()
os.kill(os.getpid(), signal.SIGHUP)
print("serves", flush=True)
sys.stdin.read()
"""


def test_sighup_is_ignored_and_sigterm_ends_the_process() -> None:
    """With status 0: an end that was asked for is no failure."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"serves\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
