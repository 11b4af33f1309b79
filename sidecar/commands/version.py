"""`bb-sidecar version`: which version runs, and which build of it."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Mapping

from sidecar import __version__
from sidecar.telemetry.build import build


def version(_args: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Print the version, the build, the Python and the machine, in one line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}"
    sys.stdout.write(f"bb-sidecar {__version__} ({build()} build, {python}, {machine})\n")
    return 0
