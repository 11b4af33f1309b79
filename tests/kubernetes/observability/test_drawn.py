"""The pictures of the dashboards: which there are, and that their panels still exist."""

from __future__ import annotations

from tests.kubernetes.observability.drawn import FOLDER, LARGEST, PICTURES
from tests.kubernetes.observability.expressions import DOCS, dashboards, panels


def test_a_picture_shows_panels_that_exist() -> None:
    """A renamed panel needs `make dashboards-pictures`."""
    for name, picture in PICTURES.items():
        titles = {panel["title"] for panel in panels(dashboards()[name])}
        assert {*picture.numbers, *picture.charts} <= titles


def test_the_pictures_are_those_that_the_page_shows() -> None:
    """One for each dashboard, and none left over."""
    page = (DOCS / "monitoring.md").read_text("utf-8")
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.png" for name in PICTURES}
    assert all(f"(dashboards/{name}.png)" in page for name in PICTURES)


def test_the_pictures_are_small() -> None:
    """They are in every clone, with all their versions."""
    assert all(path.stat().st_size <= LARGEST for path in FOLDER.iterdir())
