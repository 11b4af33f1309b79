"""The expressions of dashboards and rules, and how they are shortened for a scene of a minute.

Only windows and waits change: thresholds, labels and functions are tried as they are shipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[3]
DASHBOARDS: Final = ROOT / "helm" / "dashboards"
RULES: Final = ROOT / "helm" / "rules"
DOCS: Final = ROOT / "docs"

WINDOWS: Final = {
    "5m": "3s",
    "15m": "4s",
    "30m": "4s",
    "1h": "5s",
    "6h": "6s",
    "1d": "8s",
    "1m": "500ms",
}
"""What a window of the shipped expressions becomes; an unknown one fails the test."""

VARIABLES: Final = {
    "$__rate_interval": "3s",
    "$datasource": "prometheus",
    "$cluster": "east",
    "$namespace": "acme",
    "$job": "acme-notes",
    "$pod": "acme-notes-0|acme-notes-1|acme-notes-2",
    "$route": ".*",
    "$org": "org_hooli",
}
"""What a reader has chosen."""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of one panel."""

    dashboard: str
    panel: str
    panel_id: int
    ref: str
    expr: str

    @property
    def name(self) -> str:
        """What a failing test calls it."""
        return f"{self.dashboard}: {self.panel} {self.ref}"


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every committed dashboard by the name of its file without the ending."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in DASHBOARDS.glob("*.json")}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the panels that show data: rows hold none here."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def panel_queries() -> list[PanelQuery]:
    """Return every query of every panel."""
    return [
        PanelQuery(name, panel["title"], panel["id"], target["refId"], target["expr"])
        for name, dashboard in sorted(dashboards().items())
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def rule_files() -> list[Path]:
    """Return the shipped rule files."""
    return sorted(RULES.glob("*.yaml"))


def rules() -> list[dict[str, Any]]:
    """Return every rule of every file."""
    groups = [
        group for path in rule_files() for group in yaml.safe_load(path.read_text())["groups"]
    ]
    return [rule for group in groups for rule in group["rules"]]


def documented_queries() -> list[str]:
    """Return every query that the documents ask the reader to run.

    A query begins at the left edge; what is indented goes on with it.
    """
    pages = [*DOCS.glob("*.md"), *(DOCS / "runbooks").glob("*.md")]
    fence = re.compile(r"^```promql\n(.*?)^```", re.MULTILINE | re.DOTALL)
    blocks = [block for page in sorted(pages) for block in fence.findall(page.read_text("utf-8"))]
    code = [re.sub(r"^#.*\n|\s+# .*$", "", block, flags=re.MULTILINE) for block in blocks]
    return [query for block in code for query in re.split(r"\n(?=\S)", block.strip()) if query]


def shortened(expr: str) -> str:
    """Return an expression with short windows and the variables filled in."""
    for name, value in sorted(VARIABLES.items(), reverse=True):
        expr = expr.replace(name, value)
    expr = re.sub(
        r"\[(\d+[a-z]+)(?::(\d+[a-z]+))?\]",
        lambda found: f"[{_short(found[1])}{f':{_short(found[2])}' if found[2] else ''}]",
        expr,
    )
    return re.sub(r"\boffset (\d+[a-z]+)", lambda found: f"offset {_short(found[1])}", expr)


def shortened_rules(path: Path, folder: Path) -> Path:
    """Write a rule file with short windows and no waits; return where it is."""
    content = yaml.safe_load(path.read_text("utf-8"))
    for group in content["groups"]:
        for rule in group["rules"]:
            rule["expr"] = shortened(rule["expr"])
            rule.pop("for", None)
    short = folder / path.name
    short.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return short


def _short(window: str) -> str:
    return window if window in WINDOWS.values() else WINDOWS[window]
