"""Real frameworks behind a real sidecar: no metered handler runs uncharged, no denied one at all.

`make differential` sends each of them many more probes.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.differential.catalogue import METERED, NODE_MODULES, Product, products
from tests.differential.driving import drive
from tests.differential.probes import KNOWN, probes
from tests.e2e.harness import stack

PROBES: Final = 300
SEED: Final = "in every run of the tests"


@pytest.mark.parametrize("product", products(), ids=lambda product: product.name)
async def test_what_runs_is_what_was_decided_on(product: Product) -> None:
    """Conformance 51: the known evasions first, then probes of a fixed seed."""
    report = await drive(product, SEED, PROBES, stack)
    assert report.findings == []
    assert report.probes == PROBES
    assert sum(report.ran[name] for name in METERED) > 3, "the probes reach its handlers"


def test_the_frameworks_for_node_are_installed() -> None:
    """They come from npm, not from PyPI."""
    assert NODE_MODULES.is_dir(), "run `make products`"


def test_a_seed_makes_the_same_probes() -> None:
    """What was found can be found again."""
    made = list(probes("a", 500))
    assert made == list(probes("a", 500))
    assert made != list(probes("b", 500))
    assert made[: len(KNOWN)] == list(KNOWN)
