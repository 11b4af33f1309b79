"""The injector, configured by the chart, on pods as teams write them."""

from __future__ import annotations

import base64
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonpatch
import pytest
import yaml

from sidecar.inject.config import InjectorConfig, load_config
from sidecar.inject.review import answer
from sidecar.inject.shape import read
from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import documents, render
from tests.kubernetes.schemas import problems, releases
from tests.unit.golden.compare import assert_golden

PODS: Final = sorted((Path(__file__).parent / "pods").glob("*.yaml"))
SERVICES: Final = sorted((Path(__file__).parent / "services").glob("*.yaml"))
GOLDEN: Final = Path(__file__).parent / "golden"


@cache
def _config(release: str, case: str = "injector") -> InjectorConfig:
    """Read the file that the chart makes for a release as the injector does.

    Once: each rendering makes two RSA keys.
    """
    made = documents(render({**GOOD[case], "kubeVersion": f"{release}.0"}))
    files = [each["data"] for each in made if each["kind"] == "ConfigMap"]
    text = next(str(data["injector.yaml"]) for data in files if "injector.yaml" in data)
    with tempfile.TemporaryDirectory(prefix="bb-injector-") as folder:
        path = Path(folder, "injector.yaml")
        path.write_text(text)
        return load_config(path)


def _let_in(made: dict[str, Any], config: InjectorConfig) -> dict[str, Any]:
    """Do what the API server does with an object: ask, and apply the patch."""
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": made["kind"]},
        "operation": "CREATE",
        "namespace": "shop",
        "object": made,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    response = answer(read(json.dumps(review).encode()), config)["response"]
    assert response["allowed"], response
    patch = json.loads(base64.b64decode(response.get("patch", base64.b64encode(b"[]"))))
    changed: dict[str, Any] = jsonpatch.apply_patch(made, patch)
    return changed


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.stem)
@pytest.mark.parametrize("case", [name for name in GOOD if name.startswith("injector")])
def test_injected_pods_are_valid_everywhere(path: Path, case: str) -> None:
    """What the patch makes passes the strict schema of each release that it was made for."""
    pod = yaml.safe_load(path.read_text())
    for release in releases():
        changed = _let_in(pod, _config(release, case))
        assert problems(changed, release) == []
        assert changed != pod


@pytest.mark.parametrize(
    ("name", "targets"), [("fixed-port", [8080, None]), ("named-target", ["http"])]
)
def test_services_lead_to_the_sidecar(name: str, targets: list[int | str | None]) -> None:
    """The product's port alone is moved, and what is made is valid on each release."""
    service = yaml.safe_load(next(each for each in SERVICES if each.stem == name).read_text())
    for release in releases():
        changed = _let_in(service, _config(release))
        assert problems(changed, release) == []
        assert [each.get("targetPort") for each in changed["spec"]["ports"]] == targets


@pytest.mark.parametrize("path", [*PODS, *SERVICES], ids=lambda path: path.stem)
def test_a_second_time_changes_nothing(path: Path) -> None:
    """An injected pod that is asked about again stays as it is."""
    config = _config("1.34")
    once = _let_in(yaml.safe_load(path.read_text()), config)
    assert _let_in(once, config) == once


@pytest.mark.parametrize("path", PODS, ids=lambda path: path.stem)
@pytest.mark.parametrize("release", ["1.28", "1.34"])
def test_injected_pods_are_as_they_were(path: Path, release: str) -> None:
    """A change of what is injected shows in review, as a file."""
    changed = _let_in(yaml.safe_load(path.read_text()), _config(release))
    golden = GOLDEN / f"injected-{path.stem}-{release}.yaml"
    assert_golden(str(golden), yaml.safe_dump(changed, sort_keys=False))


def test_the_injector_knows_what_the_network_policy_opens() -> None:
    """Both come from the same values."""
    made = documents(render(GOOD["injector-everything"]))
    policy = next(
        each["spec"]
        for each in made
        if each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == "other"
    )
    opened = {entry["port"] for rule in policy["ingress"] for entry in rule["ports"]}
    config = _config("1.34", "injector-everything")
    assert config.protected_namespaces == {"acme", "other"}
    assert config.open_ports | {config.metrics_port} == opened


def test_nothing_of_the_template_is_left_open() -> None:
    """Every word in angle brackets was filled."""
    for case in ("injector", "injector-everything"):
        for path in PODS:
            changed = _let_in(yaml.safe_load(path.read_text()), _config("1.34", case))
            assert "<" not in json.dumps(changed)


def test_the_slug_reaches_the_sidecar_as_text() -> None:
    """A product may be called as YAML calls a truth or a number."""
    pod = yaml.safe_load((PODS[0]).read_text())
    pod["metadata"]["labels"]["app.kubernetes.io/name"] = "on"
    changed = _let_in(pod, _config("1.34"))
    env = {each["name"]: each.get("value") for each in changed["spec"]["initContainers"][-1]["env"]}
    assert env["PRODUCT_SLUG"] == "on"
