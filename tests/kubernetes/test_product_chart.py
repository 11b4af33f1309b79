"""The sidecar in a product's own chart: what two lines bring, on old clusters and new ones."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python import Chart, HelmError

from tests.kubernetes.rendering import ROOT, documents, only, render_product
from tests.kubernetes.schemas import problems, releases


def _spec(version: str, **values: Any) -> dict[str, Any]:
    made = render_product({"bizbasics-sidecar": {"kubeVersion": version, **values}})
    spec: dict[str, Any] = only(made, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("release", releases())
def test_it_is_valid_on_every_release(release: str) -> None:
    """The product's Deployment and what our chart adds pass the release's strict schema."""
    made = documents(render_product({"bizbasics-sidecar": {"kubeVersion": f"{release}.0"}}))
    assert [problem for each in made for problem in problems(each, release)] == []


def test_it_is_native_from_1_29() -> None:
    """An init container that stays, and no container more."""
    spec = _spec("1.29.0")
    assert [each["name"] for each in spec["containers"]] == ["app"]
    assert [(each["name"], each["restartPolicy"]) for each in spec["initContainers"]] == [
        ("bb-sidecar", "Always")
    ]


def test_it_is_a_plain_container_before() -> None:
    """Where init containers cannot stay, one would keep the pod from starting."""
    spec = _spec("1.28.9")
    assert [each["name"] for each in spec["containers"]] == ["app", "bb-sidecar"]
    assert "initContainers" not in spec


@pytest.mark.parametrize(("native", "version"), [("always", "1.28.0"), ("never", "1.34.0")])
def test_the_values_can_decide(native: str, version: str) -> None:
    """A cluster with the feature on early, or a policy against it."""
    assert ("initContainers" in _spec(version, native=native)) is (native == "always")


def test_the_product_lingers_where_the_cluster_knows_how() -> None:
    """The sleep of 1.30 needs no program in the product's image."""
    assert _spec("1.30.0")["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in _spec("1.29.0")["containers"][0]


def test_grace_is_the_hook_and_the_drain() -> None:
    """A pod that ends gets the time that its streams were promised."""
    spec = _spec("1.34.0", drain={"preStopSeconds": 10, "seconds": 120})
    assert spec["terminationGracePeriodSeconds"] == 135


def test_the_product_is_told_another_port() -> None:
    """Product and sidecar agree on where the product listens."""
    spec = _spec("1.34.0", ports={"product": 3000})
    sidecar = {each["name"]: each.get("value") for each in spec["initContainers"][0]["env"]}
    assert spec["containers"][0]["env"] == [{"name": "PORT", "value": "3000"}]
    assert sidecar["SIDECAR_UPSTREAM"] == "http://127.0.0.1:3000"


def test_a_chart_without_the_dependency_is_told() -> None:
    """The fix is in the message."""
    with (
        Chart.load(ROOT / "tests" / "kubernetes" / "product") as bare,
        pytest.raises(HelmError, match=r"dependencies|no template"),
    ):
        bare.render({}, name="notes", namespace="acme")
