"""The pages that name code are kept true: every dotted name in them can be imported."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_NAME = re.compile(r"`(sidecar(?:\.\w+)+)`")


def _names() -> list[tuple[str, str]]:
    return [
        (page.name, name)
        for page in sorted(_DOCS.glob("*.md"))
        for name in sorted(set(_NAME.findall(page.read_text())))
    ]


@pytest.mark.parametrize(("page", "name"), _names())
def test_a_name_in_the_docs_exists(page: str, name: str) -> None:
    """What a page names is there, under that name."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[split:]:
            assert hasattr(found, attribute), f"{page}: {name}: no {attribute}"
            found = getattr(found, attribute)
        return
    pytest.fail(f"{page}: {name} cannot be imported")


def test_the_life_of_a_request_names_its_code() -> None:
    """The page about the request's path names the code of each of its steps."""
    named = {name for page, name in _names() if page == "life-of-a-request.md"}
    assert len(named) > 15
