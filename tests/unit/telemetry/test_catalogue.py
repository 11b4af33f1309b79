from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.telemetry.catalogue import METRICS, PREFIX, Kind, Metric

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_names_are_unique() -> None:
    """A family twice is no exposition."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_help_says_what_to_do_with_it(metric: Metric) -> None:
    """Two sentences at least: what it is, and what a value means for the reader."""
    assert re.fullmatch(r"[A-Z0-9][^\n]+\. [A-Z0-9a-z][^\n]+\.", metric.help)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_name_ends_as_its_kind_does(metric: Metric) -> None:
    """Prometheus' own conventions."""
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert metric.buckets == tuple(sorted(set(metric.buckets)))


def test_the_docs_list_every_metric_as_it_is() -> None:
    """Name and labels of each, in the order of the catalogue."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", DOCS.read_text(), re.MULTILINE)
    assert [(name, labels.replace("`", "").strip()) for name, labels in rows] == [
        (PREFIX + metric.name, ", ".join(metric.labels)) for metric in METRICS
    ]
