"""What products import from `sidecar.client`, and a sidecar that starts without it."""

from __future__ import annotations

import subprocess
import sys


def test_the_consume_call_comes_without_the_client() -> None:
    """A sidecar starts without what it does not use."""
    code = (
        "import sys, sidecar.app.wiring;"
        "print([m for m in ('sidecar.client', 'sidecar.app.side_jobs') if m in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.strip() == "[]"
