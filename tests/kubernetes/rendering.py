"""The chart, rendered by Helm's own engine: alone, and inside a product's chart."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from helm_python import Chart

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm"
POLICY: Final = (ROOT / "policies" / "default.yaml").read_text(encoding="utf-8")
RELEASE: Final = "notes"
NAMESPACE: Final = "acme"

Object = dict[str, Any]


@cache
def chart() -> Chart:
    """Load the chart."""
    return Chart.load(CHART)


@cache
def product_chart() -> Chart:
    """Load a product's chart that has ours under charts/, as `helm dependency build` puts it."""
    with tempfile.TemporaryDirectory(prefix="bb-chart-") as folder:
        product = Path(folder, "acme-notes")
        shutil.copytree(Path(__file__).parent / "product", product)
        shutil.copytree(CHART, product / "charts" / "bizbasics-sidecar")
        return Chart.load(product)


def render(values: Object) -> dict[str, str]:
    """Render our chart: the text of each template that makes something.

    The same values give the same text, also what is random in it: a key takes long to make.
    """
    return _rendered(json.dumps(values))


@lru_cache(100)
def _rendered(values: str) -> dict[str, str]:
    return _made(chart().render(json.loads(values), name=RELEASE, namespace=NAMESPACE))


def render_product(values: Object) -> dict[str, str]:
    """Render the product's chart with ours in it."""
    return _made(product_chart().render(values, name=RELEASE, namespace=NAMESPACE))


def documents(rendered: dict[str, str]) -> list[Object]:
    """Return the objects of rendered templates."""
    return [
        document
        for name, text in rendered.items()
        if name.endswith(".yaml")
        for document in yaml.load_all(text, yaml.CSafeLoader)
        if document
    ]


def only(rendered: dict[str, str], kind: str) -> Object:
    """Return the one object of a kind."""
    found = [each for each in documents(rendered) if each["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def _made(rendered: dict[str, str]) -> dict[str, str]:
    return {
        name.rpartition("templates/")[2]: text for name, text in rendered.items() if text.strip()
    }
