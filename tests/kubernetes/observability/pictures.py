"""Draw docs/dashboards/*.svg from the scene: `make dashboards-pictures`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.kubernetes.observability.expressions import ROOT, dashboards
from tests.kubernetes.observability.recording import Recording, record
from tools.dashboards.drawing.board import draw
from tools.dashboards.drawing.data import Answers, Span

FOLDER: Final = ROOT / "docs" / "dashboards"
CHOSEN: Final = {
    "datasource": "Prometheus",
    "namespace": "acme",
    "job": "acme-notes",
    "pod": "All",
    "route": "All",
    "org": "org_hooli",
}


def pictures(recording: Recording) -> dict[str, str]:
    """Return the picture of each dashboard by the name of its file."""
    span = Span(recording.start, recording.end)
    return {
        f"{name}.svg": draw(dashboard, _answers(recording, name), span, CHOSEN)
        for name, dashboard in dashboards().items()
    }


def _answers(recording: Recording, dashboard: str) -> Answers:
    return {
        (query.panel_id, query.ref): series
        for query, series in recording.panels.items()
        if query.dashboard == dashboard
    }


def main(folder: Path) -> None:
    """Write every picture anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(record()).items():
        (folder / name).write_text(picture, encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main(FOLDER)
