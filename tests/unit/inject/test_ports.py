"""Which ports a pod's containers get, where its own words are unusual."""

from __future__ import annotations

import pytest

from sidecar.inject import words
from sidecar.inject.asking import CannotInject
from sidecar.inject.pods import inject
from tests.unit.inject.pods import config, container_of, env_of, pod


def test_a_product_that_is_told_twice_is_refused() -> None:
    """The kubelet takes the last one: the product would listen where the sidecar does not call."""
    given = pod(env=[{"name": "PORT", "value": "8080"}, {"name": "PORT", "value": "3000"}])
    with pytest.raises(CannotInject, match="PORT 2 times"):
        inject(given, config())


def test_a_port_that_is_not_tcp_is_nobodys_business() -> None:
    """The same number of UDP stays the product's, and a neighbour's is no clash."""
    ports = [{"containerPort": 3000, "protocol": "UDP"}, {"containerPort": 3000}]
    given = pod(annotations={words.PRODUCT_PORT: "3000", words.CONTAINER: "app"}, ports=ports)
    given["spec"]["containers"].append(
        {"name": "dns", "image": "x", "ports": [{"containerPort": 8080, "protocol": "UDP"}]}
    )
    changed, _ = inject(given, config())
    assert container_of(changed)["ports"] == [ports[0], {"containerPort": 8080}]


def test_what_is_null_is_not_there() -> None:
    """Some tools write every field, empty ones too."""
    given = pod(env=None, ports=None, lifecycle=None, livenessProbe={"exec": None, "httpGet": None})
    changed, _ = inject(given, config())
    assert env_of(changed) == {"PORT": "18080"}


def test_a_port_that_a_network_policy_shuts_is_refused() -> None:
    """Nobody could call the pod: better that it does not start than that nobody knows why."""
    given = pod(env=[{"name": "PORT", "value": "3000"}], ports=[])
    shut = config(protected_namespaces=["shop"], open_ports=[8080, 9000])
    with pytest.raises(CannotInject, match=r"'shop' does not open port 3000.*one of: 8080, 9000"):
        inject(given, shut, "shop")


@pytest.mark.parametrize(("namespace", "port"), [("shop", 3000), ("other", 4000)])
def test_a_port_that_is_open_is_taken(namespace: str, port: int) -> None:
    """Because it was asked for, or because no policy of ours is there."""
    given = pod(env=[{"name": "PORT", "value": str(port)}], ports=[])
    opened = config(protected_namespaces=["shop"], open_ports=[8080, 3000])
    changed, _ = inject(given, opened, namespace)
    assert env_of(changed, "bb-sidecar")["PORT"] == str(port)


@pytest.mark.parametrize(("port", "name"), [("9901", "admin"), ("9902", "metrics")])
def test_a_product_on_a_port_of_the_sidecars_own_is_refused(port: str, name: str) -> None:
    """The sidecar could not listen there, and its probes would fail."""
    given = pod(env=[{"name": "PORT", "value": port}], ports=[{"containerPort": int(port)}])
    with pytest.raises(CannotInject, match=f"port {port} is the sidecar's {name} port"):
        inject(given, config())


@pytest.mark.parametrize("port", [9901, 9902])
def test_a_neighbour_on_a_port_of_the_sidecars_own_is_refused(port: int) -> None:
    """Two containers of a pod cannot listen on one port."""
    given = pod(annotations={words.CONTAINER: "app"}, env=[{"name": "PORT", "value": "8080"}])
    given["spec"]["containers"].append(
        {"name": "other", "image": "x", "ports": [{"containerPort": port}]}
    )
    with pytest.raises(CannotInject, match=f"'other' has port {port}"):
        inject(given, config())


@pytest.mark.parametrize(
    "source",
    [
        {"configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "settings"}, "prefix": None},
        {"secretRef": {"name": "settings"}, "prefix": "PO"},
    ],
)
def test_a_port_that_may_come_from_elsewhere_is_warned_of(source: dict[str, object]) -> None:
    """What is in a ConfigMap is not known here: callers may use a port that is no longer served."""
    given = pod(env=[], ports=[], envFrom=[source])
    changed, warnings = inject(given, config())
    assert env_of(changed) == {"PORT": "18080"}
    assert [each for each in warnings if "variables from settings" in each and "8080" in each]


@pytest.mark.parametrize(
    ("env", "prefix", "annotations"),
    [
        ([{"name": "PORT", "value": "3000"}], "", {}),
        ([], "APP_", {}),
        ([], "", {words.PORT: "3000"}),
    ],
)
def test_a_port_that_is_said_is_not_warned_of(
    env: list[dict[str, str]], prefix: str, annotations: dict[str, str]
) -> None:
    """By a variable, which goes before envFrom, or by the annotation; or no key can become PORT."""
    source = {"configMapRef": {"name": "settings"}, "prefix": prefix}
    given = pod(env=env, ports=[], envFrom=[source], annotations=annotations)
    assert not [each for each in inject(given, config())[1] if "variables from" in each]
