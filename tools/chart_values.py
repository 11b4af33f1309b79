"""The chart's values in two more places: as comments of helm/values.yaml, and as a template.

Helm lets no template read values.yaml, so what a section left empty means is written into one.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[1] / "helm"
VALUES: Final = CHART / "values.yaml"
DEFAULTS: Final = CHART / "templates" / "_defaults.tpl"
_WIDTH: Final = 100
_KEY: Final = re.compile(r"( *)([A-Za-z]\w*):")
_TOP: Final = """\
# Anything that is not here is refused (values.schema.json). A section left empty has its defaults.
# `make chart-readme` writes these comments from the schema.
"""

Schema = dict[str, Any]


def commented(text: str, schema: Schema) -> str:
    """Return values.yaml with a comment above each key that the schema describes."""
    return _TOP + "\n".join(_lines(text, schema)) + "\n"


def _lines(text: str, schema: Schema) -> Iterator[str]:
    above: list[tuple[int, Schema]] = [(-1, schema)]
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        key = _KEY.match(line)
        if key is None:  # an item of a list
            yield line
            continue
        indent = len(key[1])
        while above[-1][0] >= indent:
            above.pop()
        one = above[-1][1].get("properties", {}).get(key[2], {})
        if indent == 0:
            yield ""
        if "description" in one:
            yield from textwrap.wrap(
                meaning(one),
                _WIDTH,
                initial_indent=f"{key[1]}# ",
                subsequent_indent=f"{key[1]}# ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        yield line
        above.append((indent, one))


def meaning(schema: Schema) -> str:
    """Say what a value is for, and the words that it may be."""
    words = schema.get("enum")
    told = f" One of {', '.join(f'`{word}`' for word in words)}." if words else ""
    return f"{schema['description']}{told}"


def defaults_template(values: dict[str, Any]) -> str:
    """Return the template that holds the defaults of values.yaml."""
    return (
        "{{/* What values.yaml says, for a section left empty; by `make chart-readme`. */}}\n"
        '{{- define "bizbasics-sidecar.defaults" -}}\n'
        f"{json.dumps(values, indent=1)}\n"
        "{{- end -}}\n"
    )


def write(schema: Schema) -> None:
    """Write both files."""
    text = VALUES.read_text(encoding="utf-8")
    VALUES.write_text(commented(text, schema), encoding="utf-8")
    DEFAULTS.write_text(defaults_template(yaml.safe_load(text)), encoding="utf-8")
