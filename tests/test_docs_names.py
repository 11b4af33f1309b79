"""The pages that name code are kept true: every dotted name in them can be imported."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
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


ADDED: dict[str, set[str]] = {
    "started": {"admin", "metrics"},  # where they listen
    "fault": {"trace_id"},  # of a request that belongs to a trace
}
"""Fields that a line has only at times, which its call does not spell out."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An event that a call of the log names, and the fields that are written out there."""

    event: str
    fields: frozenset[str]


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _extra(call: ast.Call, function: ast.AST) -> ast.Dict | None:
    """Return the dictionary that a call is given as `extra`, also where it has a name first."""
    given = next((each.value for each in call.keywords if each.arg == "extra"), None)
    if isinstance(given, ast.Name):
        values = [
            each.value
            for each in ast.walk(function)
            if isinstance(each, ast.Assign)
            and isinstance(each.targets[0], ast.Name)
            and each.targets[0].id == given.id
        ]
        assert len(values) == 1, f"line {call.lineno}: give `extra` one value"
        given = values[0]
    assert given is None or isinstance(given, ast.Dict), f"line {call.lineno}: write the fields out"
    return given


def _logged() -> Iterator[Logged]:
    """Give each line that a sidecar can log."""
    for path in _CODE.rglob("*.py"):
        if path.relative_to(_CODE).parts[0] in _OTHER_PROGRAMS:
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in (node for node in ast.walk(function) if _says(node)):
                extra = _extra(call, function)
                keys = [] if extra is None else [key for key in extra.keys if key is not None]
                fields = frozenset(text for key in keys for text in _texts(key)) - {"repeat_key"}
                for event in _texts(call.args[0]):
                    yield Logged(event, fields)


def _told() -> list[tuple[str, set[str]]]:
    """Give event and fields of each row of the tables of events."""
    tables = [
        table
        for page in ("admin.md", "webhooks.md")
        for table in re.findall(
            r"^\| event \| fields \| means .*\n\|---.*\n((?:\|.*\n)+)",
            (_DOCS / page).read_text(),
            re.MULTILINE,
        )
    ]
    rows = [row.split("|") for table in tables for row in table.splitlines()]
    return [
        (event, set(re.findall(r"`(\w+)`", row[2])))
        for row in rows
        for event in re.findall(r"`(\w+)`", row[1])
    ]


def test_the_docs_list_every_event_of_the_log_with_its_fields() -> None:
    """An event of the log is in a table, with what to do and what it carries; none is made up."""
    written: dict[str, set[str]] = {}
    for line in _logged():
        written.setdefault(line.event, set(ADDED.get(line.event, ()))).update(line.fields)
    told = _told()
    assert len(told) == len({event for event, _ in told})
    assert dict(told) == written
