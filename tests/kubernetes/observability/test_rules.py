"""The rules: read by promtool, each alert tried firing and silent, each with its runbook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sidecar.inject.reviews import METRIC
from sidecar.telemetry.catalogue import METRICS, PREFIX
from tests.kubernetes.observability.expressions import (
    ROOT,
    documented_queries,
    panel_queries,
    rule_files,
    rules,
)
from tests.kubernetes.observability.rule_cases import CASES, Case
from tests.kubernetes.observability.servers import promtool

RUNBOOKS: Final = ROOT / "docs" / "runbooks"
SECTIONS: Final = ("What it means for customers", "How to confirm", "What to do")
ALERTS: Final = [rule for rule in rules() if "alert" in rule]
RECORDS: Final = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def named(rule: dict[str, Any]) -> str:
    """What a failing test calls an alert."""
    return f"{rule['alert']}-{rule['labels']['severity']}"


@pytest.mark.parametrize("path", rule_files(), ids=lambda path: path.name)
def test_promtool_finds_no_fault(path: Path) -> None:
    """Syntax, expressions, templates, and rules that are there twice."""
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", str(path))


def records_for(alert: str) -> set[str]:
    """Return the recorded series that an alert's expressions name, and those that these name."""
    expressions = [rule["expr"] for rule in ALERTS if rule["alert"] == alert]
    found: set[str] = set()
    while expressions:
        expression = expressions.pop()
        new = [each for each in RECORDS if each not in found and each in expression]
        found.update(new)
        expressions += [RECORDS[each] for each in new]
    return found


def rules_for(alert: str, folder: Path) -> Sequence[Path]:
    """Write the alert's rules and what they ask, without texts: the live test reads those.

    The others would be evaluated for nothing, up to a day of them.
    """
    kept = {alert, *records_for(alert)}
    written = []
    for path in rule_files():
        content = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
        for group in content["groups"]:
            group["rules"] = [
                {key: value for key, value in rule.items() if key != "annotations"}
                for rule in group["rules"]
                if rule.get("alert", rule.get("record")) in kept
            ]
        written.append(folder / path.name)
        written[-1].write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return written


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.name}")
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    """As shipped: thresholds, windows and waits."""
    expected = [{"exp_labels": dict(labels)} for labels in case.fires]
    given = [{"series": series, "values": values} for series, values in case.series.items()]
    content = {
        "rule_files": [str(path) for path in rules_for(case.alert, tmp_path)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": given,
                "alert_rule_test": [
                    {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}
                ],
            }
        ],
    }
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    promtool("test", "rules", str(file))


def test_every_alert_is_tried_both_ways() -> None:
    """Each severity of it fires in some case, and it is silent in another."""
    fires = {(case.alert, labels["severity"]) for case in CASES for labels in case.fires}
    silent = {case.alert for case in CASES if not case.fires}
    assert fires == {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}
    assert silent == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=named)
def test_an_alert_says_what_whom_and_where_to_read_on(rule: dict[str, Any]) -> None:
    """Severity of the three, and texts that name the deployment or the org."""
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    texts = rule["annotations"]
    assert re.search(r"\$labels\.(namespace|org)", texts["summary"])
    assert texts["description"].endswith(".")
    assert texts["runbook_url"].endswith(f"/docs/runbooks/{rule['alert']}.md")


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in ALERTS}))
def test_a_runbook_says_what_it_means_and_what_to_do(name: str) -> None:
    """In the same order in each, with something to paste."""
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    assert re.search(r"^```(sh|promql)$", text, re.MULTILINE)


def test_no_runbook_is_without_its_alert() -> None:
    """A runbook of an alert that is gone leads astray."""
    written = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert written == {rule["alert"] for rule in ALERTS}


def test_the_index_of_runbooks_lists_every_alert_with_its_severities() -> None:
    """It is where an operator looks up what an alert is worth."""
    severities: dict[str, set[str]] = {}
    for rule in ALERTS:
        severities.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z, ]+) \|", index, re.MULTILINE)
    assert {name: set(found.split(", ")) for name, found in listed} == severities


def test_every_aggregation_keeps_the_cluster() -> None:
    """Two clusters under one ruler would hide each other: their jobs have the same names."""
    asked = [rule["expr"] for rule in rules()] + [query.expr for query in panel_queries()]
    kept = [labels for expr in asked for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr)]
    assert kept
    assert [labels for labels in kept if "cluster" not in re.split(r",\s*", labels)] == []
    assert [expr for expr in asked if "without (" in expr] == []


def test_group_names_are_used_once() -> None:
    """One PrometheusRule object holds all of them."""
    groups = [
        group["name"]
        for path in rule_files()
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert len(groups) == len(set(groups))


def test_documents_ask_for_metrics_that_there_are() -> None:
    """A metric misspelt in a runbook finds nothing when it is needed most."""
    known = {PREFIX + metric.name for metric in METRICS}
    known |= {METRIC}
    known |= {rule["record"] for rule in rules() if "record" in rule}
    asked = {
        name
        for query in documented_queries()
        for name in re.findall(r"\b(?:\w+:)?bb_sidecar_\w+(?::\w+)?", query)
    }
    assert {
        name for name in asked if re.sub(r"_(bucket|count|sum)$", "", name) not in known
    } == set()
