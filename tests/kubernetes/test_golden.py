"""What the chart makes, as files: a change of the templates shows in review."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import render, render_product
from tests.unit.golden.compare import assert_golden

GOLDEN: Final = Path(__file__).parent / "golden"
_RANDOM: Final = re.compile(r"((?:ca|tls)\.(?:crt|key)|caBundle): \S{100,}")


def _text(rendered: dict[str, str]) -> str:
    """Join the templates; keys made at random are masked, dashboards have golden files already."""
    return "\n".join(
        f"# {name}\n{_masked(text).strip()}\n"
        for name, text in sorted(rendered.items())
        if name != "observability.yaml"
    )


def _masked(text: str) -> str:
    return _RANDOM.sub(r"\1: MADE", text)


@pytest.mark.parametrize("release", ["1.28", "1.34"])
@pytest.mark.parametrize("name", GOOD)
def test_the_chart_makes_what_it_made(name: str, release: str) -> None:
    """Every template for every way of use, before and after native sidecars."""
    made = render({**GOOD[name], "kubeVersion": f"{release}.0"})
    assert_golden(str(GOLDEN / f"{name}-{release}.yaml"), _text(made))


@pytest.mark.parametrize("release", ["1.28", "1.34"])
def test_a_products_chart_makes_what_it_made(release: str) -> None:
    """The sidecar inside a Deployment that is not ours."""
    made = render_product({"bizbasics-sidecar": {"kubeVersion": f"{release}.0"}})
    assert_golden(str(GOLDEN / f"product-{release}.yaml"), _text(made))
