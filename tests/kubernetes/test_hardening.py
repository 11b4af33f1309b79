"""What every pod of the chart must be, whatever the values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from sidecar.inject.config import InjectorConfig
from sidecar.inject.words import SYSTEM_NAMESPACES
from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import documents, only, render

Object = dict[str, Any]


def _injected(document: Object) -> Object | None:
    """Return the container that the injector's file holds, where the object is that file."""
    text = document.get("data", {}).get("injector.yaml")
    return None if text is None else InjectorConfig.model_validate(yaml.safe_load(text)).container


def _pods(name: str) -> Iterator[Object]:
    for document in documents(render(GOOD[name])):
        if document["kind"] in {"Deployment", "StatefulSet"}:
            yield document["spec"]["template"]["spec"]


def _containers(name: str) -> Iterator[Object]:
    for pod in _pods(name):
        yield from pod["containers"]
    for document in documents(render(GOOD[name])):
        if (container := _injected(document)) is not None:
            yield container


@pytest.mark.parametrize("name", GOOD)
def test_containers_are_restricted(name: str) -> None:
    """Each one passes the restricted pod security standard, and its root cannot be written."""
    user = {} if name == "gateway-on-openshift" else {"runAsUser": 65532, "runAsGroup": 65532}
    for container in _containers(name):
        assert container["securityContext"] == {
            **user,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@pytest.mark.parametrize("name", GOOD)
def test_containers_are_bounded(name: str) -> None:
    """Each one says what it needs, what it may take, and when it is alive and ready."""
    for container in _containers(name):
        assert container["resources"].keys() == {"requests", "limits"}
        assert {"livenessProbe", "readinessProbe", "lifecycle"} <= container.keys()


@pytest.mark.parametrize("name", GOOD)
def test_pods_have_no_token(name: str) -> None:
    """Nothing here asks the API server anything."""
    for pod in _pods(name):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_a_sidecar_hides_the_products_token_from_itself() -> None:
    """The product may need its token; an empty folder lies over it in the sidecar."""
    config = yaml.safe_load(only_config()["data"]["injector.yaml"])
    mounts = {each["mountPath"]: each["name"] for each in config["container"]["volumeMounts"]}
    volumes = {each["name"]: each for each in config["volumes"]}
    assert "emptyDir" in volumes[mounts["/var/run/secrets/kubernetes.io/serviceaccount"]]


def only_config() -> Object:
    """Return the injector's ConfigMap."""
    return only(render(GOOD["injector"]), "ConfigMap")


@pytest.mark.parametrize("name", GOOD)
def test_no_secret_is_a_plain_value(name: str) -> None:
    """What the platform gave is read from the Secret; no credential is in a manifest."""
    for container in _containers(name):
        for entry in container.get("env", []):
            if entry["name"] in {"APP_SESSION_SECRET", "REDIS_URL"}:
                assert "secretKeyRef" in entry["valueFrom"]


@pytest.mark.parametrize("name", [name for name in GOOD if name.startswith("injector")])
def test_the_webhook_never_sees_system_namespaces(name: str) -> None:
    """Nor its own, or it could not start itself."""
    webhooks = only(render(GOOD[name]), "MutatingWebhookConfiguration")["webhooks"]
    for webhook in webhooks:
        closed = {
            value
            for each in webhook["namespaceSelector"]["matchExpressions"]
            if each["key"] == "kubernetes.io/metadata.name" and each["operator"] == "NotIn"
            for value in each["values"]
        }
        assert closed >= SYSTEM_NAMESPACES | {"acme"}
        assert webhook["sideEffects"] == "None"
        assert webhook["objectSelector"]["matchLabels"] == {"sidecar.bizbasics.ai/inject": "true"}


@pytest.mark.parametrize(
    ("name", "policy"), [("injector", "Fail"), ("injector-everything", "Ignore")]
)
def test_who_fails_is_a_value(name: str, policy: str) -> None:
    """Fail is the default: a pod let in without a sidecar would serve calls that nobody counts."""
    webhooks = only(render(GOOD[name]), "MutatingWebhookConfiguration")["webhooks"]
    assert {each["failurePolicy"] for each in webhooks} == {policy}


def test_the_product_cannot_be_called_past_the_sidecar() -> None:
    """The network policy opens the sidecar's ports and those that are asked for."""
    made = render({**GOOD["sidecar"], "networkPolicy": {"extraPorts": [9000]}})
    spec = only(made, "NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "acme-notes"}
    assert spec["policyTypes"] == ["Ingress"]
    opened = [entry["port"] for rule in spec["ingress"] for entry in rule["ports"]]
    assert sorted(opened) == [8080, 9000, 9902]


def test_a_rollout_takes_no_pod_before_another_is_ready() -> None:
    """The gateway's rolling update keeps every place, and waits until load balancers know."""
    spec = only(render(GOOD["gateway"]), "Deployment")["spec"]
    pod = spec["template"]["spec"]
    hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    env = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    socket = ["--admin-socket", env["SIDECAR_ADMIN_SOCKET"]]
    assert hook == ["bb-sidecar", "drain", *socket, "--after", "5"]
    drains = int(hook[-1]) + int(env["SIDECAR_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > drains


def test_the_policy_is_a_whole_folder() -> None:
    """A subPath would be a copy that the kubelet never changes."""
    for container in _containers("gateway"):
        policy = [each for each in container["volumeMounts"] if each["name"] == "bb-policy"]
        assert policy == [
            {"name": "bb-policy", "mountPath": "/etc/bb-sidecar/policy", "readOnly": True}
        ]
