"""The chart, by Helm's own engine, against the schemas of every release that it is for."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python import HelmError, lint

from sidecar import __version__
from sidecar.policy.load import find_problems
from sidecar.settings.fields import options
from sidecar.settings.run import SECTIONS
from tests.kubernetes.cases import GOOD, HOSTILE, REFUSED
from tests.kubernetes.rendering import (
    CHART,
    NAMESPACE,
    POLICY,
    ROOT,
    chart,
    documents,
    only,
    render,
)
from tests.kubernetes.schemas import problems, releases

ALL = {**GOOD, **HOSTILE}


@pytest.mark.parametrize("name", ALL)
def test_what_is_made_is_valid_everywhere(name: str) -> None:
    """Every object passes the strict schema of each release, rendered for that release."""
    found = []
    for release in releases():
        made = documents(render({**ALL[name], "kubeVersion": f"{release}.0"}))
        assert made
        found += [problem for each in made for problem in problems(each, release)]
    assert found == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused(name: str) -> None:
    """The message names the value that is at fault."""
    values, told = REFUSED[name]
    with pytest.raises(HelmError, match=told):
        render(values)


@pytest.mark.parametrize("name", GOOD)
def test_lint_finds_nothing(name: str) -> None:
    """Helm's own linter has no warning."""
    report = lint(CHART, GOOD[name], strict=True, namespace=NAMESPACE)
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("name", GOOD)
def test_notes_say_what_to_do_next(name: str) -> None:
    """Whoever installs it reads numbered steps, with no hole in them."""
    notes = render(GOOD[name])["NOTES.txt"]
    assert "\n1. " in notes
    assert "<no value>" not in notes
    assert "%!" not in notes


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {**GOOD["sidecar"], "networkPolicy": {"enabled": False}},
            "WARNING: without a NetworkPolicy",
        ),
        (GOOD["injector-everything"], "WARNING: with failurePolicy Ignore"),
    ],
    ids=["no network policy", "Ignore"],
)
def test_notes_warn_of_calls_that_nobody_counts(values: dict[str, Any], told: str) -> None:
    """Values that open a way past the sidecar are said so; the defaults open none."""
    assert told in render(values)["NOTES.txt"]
    for name in ("sidecar", "gateway", "injector"):
        assert "WARNING" not in render(GOOD[name])["NOTES.txt"]


def test_the_version_is_the_projects() -> None:
    """Chart, image tag and package are released together."""
    metadata = chart().metadata
    assert metadata["version"] == metadata["appVersion"] == __version__
    assert chart().values["image"]["tag"] == __version__
    assert f"\nARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_a_hostile_policy_arrives_byte_for_byte() -> None:
    """What is in the file is what the sidecar reads, whatever YAML it looks like."""
    for name in ("a policy that is YAML of its own", "a policy that begins with white space"):
        values = HOSTILE[name]
        assert only(render(values), "ConfigMap")["data"] == {
            "policy.yaml": values["policy"]["text"]
        }


def test_the_shipped_policy_arrives_and_loads() -> None:
    """A file from policies/ goes through the chart and is still a policy."""
    text = only(render(GOOD["sidecar"]), "ConfigMap")["data"]["policy.yaml"]
    assert text == POLICY
    assert find_problems(text.encode(), file="policy.yaml", environ=None) == []


def test_labels_of_a_user_cannot_unhook_the_service() -> None:
    """Selectors and pods agree, whatever labels are added."""
    made = render(HOSTILE["labels that would replace ours"])
    labels = only(made, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert only(made, "Service")["spec"]["selector"].items() <= labels.items()


def test_every_setting_has_its_value() -> None:
    """A setting of `run` is one of the chart's settings, or the chart has a place of its own."""
    placed = {
        "--policy", "--upstream", "--host", "--port", "--admin", "--platform-url", "--auth-url",
        "--issuer", "--key-file", "--product", "--journal", "--redis", "--log-format",
        "--drain-seconds", "--api-key-file", "--webhook-secret-file", "--admin-socket", "--metrics",
    }  # fmt: skip
    schema: dict[str, Any] = chart().schema or {}
    named = {
        "--" + "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
        for name in schema["properties"]["settings"]["properties"]
    }
    assert placed.isdisjoint(named)
    assert placed | named == {option.flag for option in options(*SECTIONS.values())}


def test_settings_reach_the_sidecar_as_numbers_are_written() -> None:
    """A million is no 1e+06."""
    container = only(render(GOOD["gateway-everything"]), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ][0]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["SIDECAR_MAX_INFLIGHT"] == "1000000"
    assert env["SIDECAR_IDLE_TIMEOUT"] == "2m"
    assert env["SIDECAR_TRUSTED_PROXIES"] == "10.0.0.0/8"


def test_rules_point_to_runbooks_of_yours() -> None:
    """The first part of every runbook_url is the one that is given, and expressions stay."""
    made = documents(render(GOOD["gateway-everything"]))
    rules = [
        rule
        for each in made
        if each["kind"] == "PrometheusRule"
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]
    urls = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    assert urls
    assert all(url.startswith("https://runbooks.example.com/bb/BbSidecar") for url in urls)


def test_dashboards_are_found_by_grafana() -> None:
    """Each dashboard's file is in a ConfigMap with the label that Grafana's sidecar looks for."""
    made = documents(render(GOOD["gateway-everything"]))
    found = {
        name: each["data"][name]
        for each in made
        if each["kind"] == "ConfigMap" and "grafana_dashboard" in each["metadata"]["labels"]
        for name in each["data"]
    }
    files = {path.name: path.read_text().strip() for path in CHART.glob("dashboards/*.json")}
    assert {name: text.strip() for name, text in found.items()} == files
