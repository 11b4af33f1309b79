"""Golden files: what users and their tools see, kept as text that a person can review.

`SIDECAR_WRITE_GOLDEN=1 pytest tests/unit` writes them anew; read the diff before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parent


def assert_golden(name: str, text: str) -> None:
    """Fail when `text` is not what the golden file `name` holds."""
    path = _FOLDER / name
    if os.environ.get("SIDECAR_WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path.name} is missing: run once with SIDECAR_WRITE_GOLDEN=1"
    assert text == path.read_text(encoding="utf-8"), (
        f"{path.name} differs: names are API; if the change is meant, run with"
        " SIDECAR_WRITE_GOLDEN=1 and commit the diff"
    )
