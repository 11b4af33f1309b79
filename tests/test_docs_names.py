"""The pages that name code are kept true: every dotted name in them can be imported."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_CODE = Path(__file__).resolve().parents[1] / "sidecar"
_NAME = re.compile(r"`(sidecar(?:\.\w+)+)`")
_SAYS = {"debug", "info", "warning", "error", "exception", "critical"}
_OTHER_PROGRAMS = {"inject", "local_platform"}
"""They log to people of their own."""


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


def _says(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _SAYS
        and bool(node.args)
    )


def _logged() -> Iterator[str]:
    """Give the event of each line that a sidecar can log."""
    for path in _CODE.rglob("*.py"):
        if path.relative_to(_CODE).parts[0] in _OTHER_PROGRAMS:
            continue
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if _says(node))
        for call in calls:
            yield from (
                part.value
                for part in ast.walk(call.args[0])
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def test_the_docs_tell_every_event_of_the_log() -> None:
    """Who finds an event in the log finds it in a table, with what to do; none is made up."""
    tables = [
        table
        for page in ("admin.md", "webhooks.md")
        for table in re.findall(
            r"^\| event \| means .*\n((?:\|.*\n)+)", (_DOCS / page).read_text(), re.MULTILINE
        )
    ]
    first_cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    told = [event for cell in first_cells for event in re.findall(r"`(\w+)`", cell)]
    assert len(told) == len(set(told))
    assert set(told) == set(_logged())
