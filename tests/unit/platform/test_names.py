"""What products import from `sidecar.platform`: all of it is there, and only when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sidecar.platform
from sidecar.platform import names


@pytest.mark.parametrize("name", names.__all__)
def test_every_name_is_found(name: str) -> None:
    """The package offers what the list says."""
    assert getattr(sidecar.platform, name) is getattr(names, name)


def test_another_name_is_told_as_missing() -> None:
    """With the module and the name, as Python would."""
    with pytest.raises(AttributeError, match=r"'sidecar\.platform' has no attribute 'Client'"):
        _ = sidecar.platform.Client


def test_the_consume_call_comes_without_the_client() -> None:
    """A sidecar starts without what it does not use."""
    code = (
        "import sys, sidecar.app;"
        "print([m for m in ('sidecar.platform.client', 'sidecar.side_jobs') if m in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.strip() == "[]"
