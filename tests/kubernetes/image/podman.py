"""Podman in a storage of its own, set up for machines that are containers themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

PROGRAMS: Final = {
    "podman": "podman",
    "runc": "runc",
    "debootstrap": "debootstrap",
    "netavark": "netavark",
    "catatonit": "catatonit",
}
"""What is run, by the Debian package that has it."""
_ELSEWHERE: Final = ("/usr/lib/podman", "/usr/libexec/podman")

_TIMEOUT: Final = 1800.0
"""Seconds for one command; a build compiles, and a machine may have other work."""

_SETTINGS: Final = """\
[containers]
# Within what a machine allows that is a container itself: raising limits needs CAP_SYS_RESOURCE.
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""


def why_not() -> str:
    """Return why images cannot be built and run on this machine; nothing when they can."""
    if os.geteuid() != 0:
        return "it needs root, for debootstrap and for cgroups"
    path = os.pathsep.join([os.environ.get("PATH", ""), *_ELSEWHERE])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return "missing: " + ", ".join(missing) + f" (apt-get install {' '.join(PROGRAMS)})"
    return ""


class Podman:
    """Runs podman commands; images and containers are in `folder`, apart from the machine's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "containers.conf"
        settings.write_text(_SETTINGS)
        self._environ = {**os.environ, "CONTAINERS_CONF": str(settings)}
        self._command = [
            "podman", "--root", str(folder / "storage"), "--runroot", str(folder / "run"),
            "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc",
            "--events-backend", "file", "--log-level", "fatal",
        ]  # fmt: skip

    def __call__(self, *words: str, check: bool = True, stderr: bool = False) -> str:
        """Run a command; return its stdout, with `stderr` that too. Raises when it fails."""
        ran = subprocess.run(  # noqa: S603 - our own words
            [*self._command, *words],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if check and ran.returncode:
            raise RuntimeError(
                f"podman {' '.join(words)}: {ran.stdout[-2000:]}{ran.stderr[-4000:]}"
            )
        return (ran.stdout + ran.stderr if stderr else ran.stdout).strip()

    def address(self, container: str) -> str:
        """Return the address of a container, or of a pod's first container, from this machine."""
        return self(
            "inspect", container, "--format",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        )  # fmt: skip


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Ask again and again; AssertionError that says `what` did not come."""
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, f"after {seconds:.0f} s: {what}"
        time.sleep(0.1)
