from __future__ import annotations

import platform

import pytest

from sidecar import __version__
from sidecar.telemetry import series
from sidecar.telemetry.build import build, build_labels


def test_the_labels_are_those_of_this_process() -> None:
    """The revision is the image's, the rest is looked up here."""
    kind = "pure" if str(series.__file__).endswith(".py") else "compiled"
    labels = build_labels({"BB_SIDECAR_REVISION": "abc123"})
    assert labels == (__version__, "abc123", platform.python_version(), kind)


def test_a_revision_that_is_not_known_is_said_so() -> None:
    """An installation with pip has none; an image built without it has an empty one."""
    assert build_labels({})[1] == build_labels({"BB_SIDECAR_REVISION": ""})[1] == "unknown"


def test_an_extension_module_is_a_compiled_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the interpreter has loaded decides, not what the package is called."""
    monkeypatch.setattr(series, "__file__", "/lib/sidecar/telemetry/series.cpython-313.so")
    assert build() == "compiled"
