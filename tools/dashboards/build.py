"""All dashboards as the text of their files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards.operations import operations
from tools.dashboards.org import org
from tools.dashboards.overview import overview

FOLDER: Final = Path(__file__).parents[2] / "helm" / "dashboards"


def dashboards() -> dict[str, str]:
    """Return each dashboard's JSON by the name of its file."""
    built = {
        "overview.json": overview(),
        "org.json": org(),
        "operations.json": operations(),
    }
    encoder = JSONEncoder(sort_keys=True, indent=1, ensure_ascii=False)
    return {name: encoder.encode(builder.build()) + "\n" for name, builder in built.items()}
