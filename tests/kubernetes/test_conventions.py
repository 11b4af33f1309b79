"""What operators expect of any chart: empty sections, a private CA, one scrape, a test."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmError, lint

from sidecar import __version__
from sidecar.inject.config import InjectorConfig
from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import CHART, NAMESPACE, documents, only, render, render_product
from tests.kubernetes.schemas import problems, releases
from tools.chart_readme import chart_schema
from tools.chart_values import DEFAULTS, VALUES, commented, defaults_template

CI = sorted((CHART / "ci").glob("*-values.yaml"))
SECTIONS = sorted(
    name for name, one in chart_schema()["properties"].items() if one.get("properties")
)
MODES = ("sidecar", "gateway", "injector", "authz")


def container(values: dict[str, Any]) -> dict[str, Any]:
    """Return the sidecar's container, wherever the mode has it."""
    mode = values.get("mode", "sidecar")
    found: dict[str, Any]
    if mode == "injector":
        text = only(render(values), "ConfigMap")["data"]["injector.yaml"]
        found = InjectorConfig.model_validate(yaml.safe_load(text)).container
    elif mode in {"gateway", "authz"}:
        found = only(render(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    else:
        made = render_product({"bizbasics-sidecar": {**values, "kubeVersion": "1.34.0"}})
        found = only(made, "Deployment")["spec"]["template"]["spec"]["initContainers"][0]
    return found


def environ(values: dict[str, Any]) -> dict[str, str]:
    """Return the plain variables of that container."""
    return {each["name"]: each["value"] for each in container(values)["env"] if "value" in each}


def test_values_are_commented_from_the_schema() -> None:
    """`make chart-readme` has been run; the defaults of empty sections are those of the file."""
    text = VALUES.read_text(encoding="utf-8")
    assert text == commented(text, chart_schema())
    assert DEFAULTS.read_text(encoding="utf-8") == defaults_template(yaml.safe_load(text))


def settled(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Render; leave out what is made at random."""
    made = [each for each in documents(render(values)) if each["kind"] != "Secret"]
    for each in made:
        for webhook in each.get("webhooks", ()):
            webhook["clientConfig"].pop("caBundle", None)
    return made


@cache
def settled_defaults(mode: str) -> list[dict[str, Any]]:
    """Render a mode with every default, once."""
    return settled(GOOD[mode])


@pytest.mark.parametrize("section", sorted({*SECTIONS} - {"policy", "gateway"}))
@pytest.mark.parametrize("mode", MODES)
def test_an_empty_section_has_its_defaults(section: str, mode: str) -> None:
    """As `drain:` with nothing after it, which Helm takes for null and deletes."""
    assert settled({**GOOD[mode], section: None}) == settled_defaults(mode)


def test_an_empty_section_with_what_is_required_names_it() -> None:
    """The message is the one for a value that was never given."""
    for section, told in (("policy", "policy.text"), ("gateway", "gateway.upstream")):
        with pytest.raises(HelmError, match=told):
            render({**GOOD["gateway"], section: None})


@pytest.mark.parametrize("section", sorted({*SECTIONS} - {"policy"}))
def test_a_products_chart_may_leave_a_section_empty(section: str) -> None:
    """Helm hands null on to a dependency in other ways than to a chart that is installed."""
    values = {"kubeVersion": "1.34.0"}
    expected = render_product({"bizbasics-sidecar": values})
    assert render_product({"bizbasics-sidecar": {**values, section: None}}) == expected


def test_one_key_may_be_taken_out_of_an_open_map() -> None:
    """A limit, or the user that OpenShift chooses itself; the other keys stay."""
    values = {**GOOD["gateway"], "resources": {"limits": {"cpu": None}}}
    assert container(values)["resources"]["limits"] == {"memory": "256Mi"}
    assert (
        container({**GOOD["gateway"], "resources": {"limits": None}})["resources"]["limits"] == {}
    )
    context = container(GOOD["gateway-on-openshift"])["securityContext"]
    assert "runAsUser" not in context
    assert context["runAsNonRoot"] is True


def test_lint_says_nothing_at_all() -> None:
    """With no values, and with those that chart-testing takes."""
    for values in ({}, *(yaml.safe_load(path.read_text()) for path in CI)):
        report = lint(CHART, values, strict=True, namespace=NAMESPACE)
        assert report["messages"] == []


@pytest.mark.parametrize("path", CI, ids=lambda path: path.stem)
def test_the_values_of_chart_testing_are_valid(path: Path) -> None:
    """One file for each mode."""
    made = documents(render(yaml.safe_load(path.read_text())))
    assert [each for document in made for each in problems(document, releases()[-1])] == []
    assert [each.stem.partition("-")[0] for each in CI] == sorted(MODES)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, f"bizbasics-sidecar:{__version__}"),
        ({"tag": "1.2.3"}, "bizbasics-sidecar:1.2.3"),
        ({"registry": "r.example.com:5000"}, f"r.example.com:5000/bizbasics-sidecar:{__version__}"),
        (
            {"registry": "eu.r", "digest": f"sha256:{'0' * 64}"},
            f"eu.r/bizbasics-sidecar@sha256:{'0' * 64}",
        ),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_the_image_is_of_the_charts_version(
    mode: str, image: dict[str, str], expected: str
) -> None:
    """Also within a product's chart, which has a version of its own."""
    assert container({**GOOD[mode], "image": image})["image"] == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("source", "kind"), [("caSecret", "secret"), ("caConfigMap", "configMap")])
def test_a_private_ca_is_trusted_in_every_mode(mode: str, source: str, kind: str) -> None:
    """Mounted, and named to the sidecar."""
    values = {**GOOD[mode], "platform": {source: "internal"}}
    mounts = {each["name"]: each["mountPath"] for each in container(values)["volumeMounts"]}
    assert environ(values)["SSL_CERT_FILE"] == f"{mounts['bb-ca']}/ca.crt"
    text = str(
        render_product({"bizbasics-sidecar": values}) if mode == "sidecar" else render(values)
    )
    assert text.count("name: bb-ca") == 2
    assert f"{kind}:" in text


@pytest.mark.parametrize("monitor", ["podMonitor", "serviceMonitor"])
def test_nothing_is_scraped_twice(monitor: str) -> None:
    """With a monitor on, pods carry no annotation that would have them scraped as well."""
    plain = str(documents(render(GOOD["gateway"])))
    made = str(documents(render({**GOOD["gateway"], "monitoring": {monitor: {"enabled": True}}})))
    assert "prometheus.io/scrape" in plain
    assert "prometheus.io" not in made


def test_an_injector_with_a_monitor_annotates_nothing() -> None:
    """Neither its own pods nor those that it changes."""
    made = documents(render({"mode": "injector", "monitoring": {"podMonitor": {"enabled": True}}}))
    assert "prometheus.io" not in str(made)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("k3s", "10.42.0.0/16"),
        ("google, 10.1.2.3,google", "35.191.0.0/16,130.211.0.0/22,10.1.2.3"),
        ("fd00::/8, loopback", "fd00::/8,127.0.0.0/8,::1/128"),
    ],
)
def test_a_word_stands_for_its_proxies(given: str, expected: str) -> None:
    """Each CIDR once, as the flag takes them; the notes warn of request IDs."""
    values = {**GOOD["gateway"], "settings": {"trustedProxies": given}}
    assert environ(values)["SIDECAR_TRUSTED_PROXIES"] == expected
    assert f"WARNING: request IDs of {expected} are believed" in render(values)["NOTES.txt"]


def test_every_word_for_proxies_is_explained() -> None:
    """The README says which CIDRs it is, and what they are."""
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    with pytest.raises(HelmError, match="or one of") as raised:
        render({**GOOD["gateway"], "settings": {"trustedProxies": "nginx"}})
    words = str(raised.value).rpartition("one of ")[2].splitlines()[0].split(", ")
    assert len(words) == 6
    for word in words:
        values = {**GOOD["gateway"], "settings": {"trustedProxies": word}}
        cidrs = environ(values)["SIDECAR_TRUSTED_PROXIES"].split(",")
        assert f"| `{word}` | {', '.join(f'`{cidr}`' for cidr in cidrs)} |" in readme


@pytest.mark.parametrize("mode", ["gateway", "injector", "authz"])
def test_the_pod_of_helm_test_is_a_hook_and_no_target(mode: str) -> None:
    """No Service leads to it; its program is one; where few are let in, it is."""
    made = render({**GOOD[f"{mode}-everything"]})
    pod = only(made, "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    labels = pod["metadata"]["labels"].items()
    for each in documents(made):
        if each["kind"] == "Service":
            assert not each["spec"]["selector"].items() <= labels
    assert str(documents(made)).count("'app.kubernetes.io/component': 'test'") == 2
    program = pod["spec"]["containers"][0]["args"][0]
    compile(program, "test", "exec")


def test_more_arguments_come_after_run() -> None:
    """As flags of `run`."""
    assert container(GOOD["gateway-everything"])["args"] == ["run", "--log-format=text"]


@pytest.mark.parametrize("name", ["gateway-everything", "injector-everything", "authz-everything"])
def test_common_labels_are_everywhere_and_replace_nothing(name: str) -> None:
    """On each object; the chart's own labels, and so its selectors, stay."""
    for each in documents(render(GOOD[name])):
        labels = each["metadata"]["labels"]
        assert labels["team"] == "notes"
        assert labels["app.kubernetes.io/name"] == "bizbasics-sidecar"
        selector = each.get("spec", {}).get("selector", {})
        assert "team" not in str(selector)
