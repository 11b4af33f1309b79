"""All dashboards as the text of their files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

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
    return {name: encoder.encode(_numbered(builder)) + "\n" for name, builder in built.items()}


def _numbered(builder: Dashboard) -> models.Dashboard:
    """Build, with a number for each panel: links to one panel go by it."""
    dashboard = builder.build()
    for number, panel in enumerate(dashboard.panels or (), start=1):
        panel.id_val = number
    return dashboard
