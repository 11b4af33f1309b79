"""Write the dashboards where the chart takes them from."""

from __future__ import annotations

import sys

from tools.dashboards.build import FOLDER, dashboards


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{FOLDER / name}\n")


main()
