"""docs/admission.md says the numbers that are in force."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "admission.md"
ROW = re.compile(r"^\| `(sidecar\.[a-z_.]+)\.([A-Z_]+)`.*\| (\d+) \|$", re.MULTILINE)


def test_each_bound_on_the_page_is_the_one_in_the_code() -> None:
    """A bound that is tuned is tuned on the page too."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) == 23
    for module, name, number in rows:
        assert getattr(importlib.import_module(module), name) == int(number), f"{module}.{name}"
