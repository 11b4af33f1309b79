"""`bb-sidecar version`: which version runs, and which build of it."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from sidecar import __version__

_HOT_MODULE: Final = "sidecar.proxy.gateway"
"""One of those that the compiled build compiles."""


def version(_args: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Print the version, the build, the Python and the machine, in one line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}"
    sys.stdout.write(f"bb-sidecar {__version__} ({build()} build, {python}, {machine})\n")
    return 0


def build() -> str:
    """Return `compiled` where the hot modules are compiled, else `pure`: as they are written."""
    found = find_spec(_HOT_MODULE)
    compiled = found is not None and found.origin is not None and not found.origin.endswith(".py")
    return "compiled" if compiled else "pure"
