"""Which build runs: the labels of `build_info`."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Final

from sidecar import __version__
from sidecar.telemetry import series
from sidecar.telemetry.series import Labels

REVISION: Final = "BB_SIDECAR_REVISION"
"""The variable that the image sets to the commit that it was built from."""


def build() -> str:
    """Return `compiled` where the hot modules are compiled, else `pure`: as they are written."""
    return "pure" if str(series.__file__).endswith(".py") else "compiled"


def build_labels(environ: Mapping[str, str]) -> Labels:
    """Return version, revision, Python's version, and whether hot modules are compiled."""
    revision = environ.get(REVISION) or "unknown"
    return __version__, revision, platform.python_version(), build()
