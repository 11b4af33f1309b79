"""Write the table of values in helm/README.md from the chart's schema and its defaults.

`python -m tools.chart_readme`; a test fails when the file in the repository differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[1] / "helm"
README: Final = CHART / "README.md"
_TABLE: Final = re.compile(r"(<!-- values -->\n).*?(<!-- end of values -->)", re.DOTALL)
_NOT_READ: Final = frozenset({"global", "enabled"})
"""Keys that Helm's own conventions put there."""

Schema = dict[str, Any]


def written(text: str) -> str:
    """Return the README with its table of values as it should be."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    table = "".join(_sections(schema, values))
    new, found = _TABLE.subn(lambda marks: f"{marks[1]}{table}{marks[2]}", text)
    if not found:
        raise ValueError(f"{README}: the marks around the table of values are gone")
    return new


def _sections(schema: Schema, values: dict[str, Any]) -> Iterator[str]:
    """Give a table of what stands alone, and one for each section."""
    properties: dict[str, Schema] = schema["properties"]
    alone = {name: one for name, one in properties.items() if not _fields(one)}
    yield from _table("", alone, values)
    for name, section in properties.items():
        if _fields(section):
            yield f"\n### `{name}`\n\n{section['description']}\n"
            yield from _table(f"{name}.", _fields(section), values.get(name) or {})
    yield "\n"


def _table(prefix: str, properties: dict[str, Schema], values: dict[str, Any]) -> Iterator[str]:
    yield "\n| value | default | for |\n|---|---|---|\n"
    yield from _rows(prefix, properties, values)


def _rows(prefix: str, properties: dict[str, Schema], values: dict[str, Any]) -> Iterator[str]:
    for name, schema in properties.items():
        if not prefix and name in _NOT_READ:
            continue
        default = values.get(name)
        inner = _fields(schema)
        if inner:
            yield f"| **`{prefix}{name}`** | | {_cell(schema['description'])} |\n"
            yield from _rows(f"{prefix}{name}.", inner, default or {})
        else:
            yield f"| `{prefix}{name}` | {_default(default)} | {_meaning(schema)} |\n"


def _fields(schema: Schema) -> dict[str, Schema]:
    fields: dict[str, Schema] = schema.get("properties") or {}
    return fields


def _default(value: object) -> str:
    if value is None or value in ("", [], {}):
        return ""
    return f"`{json.dumps(value) if isinstance(value, (dict, list, bool)) else value}`"


def _meaning(schema: Schema) -> str:
    words = schema.get("enum")
    allowed = f" One of {', '.join(f'`{word}`' for word in words)}." if words else ""
    return _cell(schema["description"] + allowed)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
