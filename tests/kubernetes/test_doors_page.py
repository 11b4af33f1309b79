"""docs/kubernetes-doors.md: its objects are valid, and ask the Services that its command makes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.policy import overrides
from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import NAMESPACE, ROOT, chart
from tests.kubernetes.schemas import problems, releases

Object = dict[str, Any]

PAGE = (ROOT / "docs" / "kubernetes-doors.md").read_text(encoding="utf-8")
PACKED = {"gateway.networking.k8s.io", "security.istio.io", "traefik.io"}
"""Groups whose schemas an npm package has."""

UNPACKED = {"gateway.envoyproxy.io", "projectcontour.io"}
EXPERIMENTAL = "data/spec/rules/0/filters/0/type must be equal to one of the allowed values"
"""The package is of the standard channel, which has the filter's fields and not its name yet."""


@cache
def blocks() -> list[str]:
    """Return the YAML of the page, a text for each block."""
    return re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def objects() -> list[Object]:
    """Return the objects of the page."""
    found = [each for block in blocks() for each in yaml.safe_load_all(block)]
    return [each for each in found if "kind" in each]


def group(document: Object) -> str:
    """Return the API group of an object."""
    api_version: str = document["apiVersion"]
    return api_version.partition("/")[0]


def judged(documents: list[Object]) -> list[str]:
    """Return what the packages' schemas say against objects."""
    node = Path(sys.executable).with_name("node")
    modules = ROOT / ".differential"
    assert modules.is_dir(), f"{modules} is not there: run `make products`"
    ran = subprocess.run(  # noqa: S603 - our own words
        [node, Path(__file__).with_name("custom_objects.mjs"), modules],
        input=json.dumps(documents), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    return found


def test_the_objects_pass_the_schemas_that_a_package_has() -> None:
    """Every one of Istio, Gateway API and Traefik; keys that are none too."""
    found = judged([each for each in objects() if group(each) in PACKED])
    names = ("acme-notes", "acme-notes-by-http")
    assert found == [f"HTTPRoute {name}: {EXPERIMENTAL}" for name in names]


def test_a_key_that_is_none_would_be_found() -> None:
    """Else the test before says nothing."""
    (policy,) = [each for each in objects() if each["kind"] == "AuthorizationPolicy"]
    wrong, misspelt = deepcopy(policy), deepcopy(policy)
    wrong["spec"]["action"] = "ASK"
    misspelt["spec"]["providr"] = {"name": "bb-quota"}
    first, second = judged([wrong, misspelt])
    assert "/spec/action must be equal to one of" in first
    assert second == "AuthorizationPolicy acme-notes-quota.spec.providr: no such key"


@pytest.mark.parametrize("release", releases())
def test_the_ingress_passes_each_releases_schema(release: str) -> None:
    """Its annotations are the controller's to judge: tests/doors runs what it makes of them."""
    (ingress,) = [each for each in objects() if each["kind"] == "Ingress"]
    assert problems(ingress, release) == []


def test_the_page_says_which_objects_no_schema_was_there_for() -> None:
    """Each of another group is in the table under what was not checked."""
    assert {group(each) for each in objects()} == PACKED | UNPACKED | {"networking.k8s.io"}
    for row in ("Envoy Gateway", "Contour"):
        assert re.search(
            rf"^\| {row} \| its Go types, by eye \| no package has", PAGE, re.MULTILINE
        )


def test_each_object_asks_a_service_that_the_command_makes() -> None:
    """By name and port, in the namespace of the product."""
    values = {**GOOD["authz"], "authz": {"grpc": {"enabled": True}}}
    made = chart().render(values, name="quota", namespace=NAMESPACE)
    services = {
        (each["metadata"]["name"], port["port"])
        for text in made.values()
        for each in yaml.safe_load_all(text if "kind: Service\n" in text else "")
        if each and each["kind"] == "Service"
        for port in each["spec"]["ports"]
    }
    text = "\n".join(blocks())
    asked = re.findall(
        r"(quota-bizbasics-sidecar)(?:\.shop\.svc\.cluster\.local:|, port: |[^\n]*\n *port: )(\d+)",
        text,
    )
    assert len(asked) == text.count("quota-bizbasics-sidecar") >= 8
    assert {(name, int(port)) for name, port in asked} <= services


def test_each_check_has_more_time_than_the_platform() -> None:
    """Every block that can say so does; the page names what the others wait."""
    for block in blocks():
        if not re.search("gateway-api|traefik|ingress-nginx", block.split("\n")[0]):
            asks = re.search("extAuth|extProc|ExtAuthz|authorization:", block)
            assert asks is None or re.search(r"[tT]imeout(Policy: \{response)?: 2s", block), block
    for told in (
        "has no timeout of its own",
        "waits 30 s for a check",
        "`proxy-read-timeout` (60 s)",
    ):
        assert told in " ".join(PAGE.split())


def test_a_check_over_http_has_every_field_that_asks_for_another_method() -> None:
    """Products would run the handler of that method, and the check would not know."""
    route = next(each for each in objects() if each["metadata"]["name"] == "acme-notes-by-http")
    (filter_,) = route["spec"]["rules"][0]["filters"]
    listed = filter_["externalAuth"]["http"]["allowedHeaders"]
    mesh = yaml.safe_load(blocks()[0])
    provider = mesh["meshConfig"]["extensionProviders"][1]["envoyExtAuthzHttp"]
    patterns = provider["includeRequestHeadersInCheck"]
    for name in overrides.NAMES:
        assert name in {each.replace("-", "") for each in listed}
        assert any(
            name.endswith(each.lstrip("*").replace("-", "")) for each in patterns if "*" in each
        )
