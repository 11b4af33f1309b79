"""What a command shows: JSON for programs, a table for people. No secret without its own word."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sidecar.domain.instants import utc_text
from sidecar.domain.quota import Quota
from sidecar.settings.secret import Secret

_TIMES: Final = frozenset({"reset_at", "created_at", "updated_at", "at"})
_UNBROKEN: Final = frozenset({"", "at", "updated", "resets", "what", "state", "attempts"})
"""Columns whose cells stay in one line where the terminal is narrow."""

_PIPED_WIDTH: Final = 160
_WHOLE: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """What a command found: `value` as data, `columns` and `rows` as a table.

    `status` is the exit status: 0, or 1 where the platform's answer is a no.
    """

    value: object
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""
    status: int = 0


def show(shown: Shown, *, as_json: bool) -> int:
    """Write to stdout; return the exit status."""
    if as_json:
        sys.stdout.write(json.dumps(plain(shown.value), indent=2, ensure_ascii=False) + "\n")
        return shown.status
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else _PIPED_WIDTH, highlight=False, markup=False)
    if shown.rows:
        table = RichTable(box=None, pad_edge=False, header_style="bold" if terminal else "")
        for column in shown.columns:
            unbroken = column in _UNBROKEN
            table.add_column(column, overflow="fold", justify="left", no_wrap=unbroken)
        for row in shown.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)
    note = shown.note or ("" if shown.rows else "none")
    if note:
        console.print(Text(printable(note)), soft_wrap=True)
    return shown.status


def plain(value: object, name: str = "") -> object:
    """Return a result as JSON data: times as ISO 8601 in UTC, a secret as nothing but its mask."""
    if isinstance(value, Secret):
        return "***"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [each for each in dataclasses.fields(value) if each.init]  # others are derived
        return {field.name: plain(getattr(value, field.name), field.name) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and name in _TIMES:
        return when(value)
    return value


def when(seconds: float | None) -> str:
    """Return a time as people and programs read it; nothing for none."""
    return "" if seconds is None else utc_text(seconds)


def quota_cells(quota: Quota) -> tuple[str, ...]:
    """Return the cells of one quota: used, limit, remaining, share, reset."""
    if quota.unlimited:
        return (str(quota.used), "unlimited", "unlimited", "", when(quota.reset_at))
    share = f"{quota.used * _WHOLE // quota.limit} %" if quota.limit else ""
    return (
        str(quota.used), str(quota.limit), str(quota.remaining), share, when(quota.reset_at),
    )  # fmt: skip


QUOTA_COLUMNS: Final = ("used", "limit", "remaining", "used %", "resets")


def printable(cell: object) -> str:
    """Return a cell's text; what could steer a terminal becomes a mark."""
    text = "" if cell is None else str(cell)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
