"""Write what the chart makes into a folder, for tools that read files: `… manifests FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import documents, render

RELEASE = "1.34.0"


def write(folder: Path) -> None:
    """Write each case into a file of its own; dashboards and rules are tried elsewhere."""
    pinned = {"kubeVersion": RELEASE, "image": {"digest": "sha256:" + "0" * 64}}
    cases = {name: render({**values, **pinned}) for name, values in GOOD.items()}
    for name, rendered in cases.items():
        rendered.pop("observability.yaml", None)
        text = yaml.safe_dump_all(documents(rendered), sort_keys=False)
        (folder / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
