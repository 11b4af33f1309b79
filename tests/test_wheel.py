"""The wheel: what the code reads beside itself is in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from tests.kubernetes.observability.expressions import ROOT


def test_every_file_that_the_package_reads_is_in_the_wheel(tmp_path: Path) -> None:
    """Templates, tables and policies to start from."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    data = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "sidecar").rglob("*")
        if path.suffix in {".html", ".sql", ".yaml"}
    }

    assert {"sidecar/local_platform/page.html", "sidecar/local_platform/tables.sql"} <= data
    assert data <= set(zipfile.ZipFile(wheel).namelist())
