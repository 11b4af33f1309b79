"""Pods and configurations that the injector's tests begin with."""

from __future__ import annotations

import copy
from typing import Any

from sidecar.inject.config import InjectorConfig
from sidecar.inject.words import INJECT, NAME_LABEL

Object = dict[str, Any]


def config(**change: Any) -> InjectorConfig:
    """Return a small configuration; the chart's own is tried in tests/kubernetes."""
    return InjectorConfig.model_validate(
        {
            "container": {
                "name": "bb-sidecar",
                "image": "bizbasics-sidecar:test",
                "ports": [
                    {"name": "bb-http", "containerPort": 8080},
                    {"name": "bb-metrics", "containerPort": 9902},
                ],
                "env": [
                    {"name": "PORT", "value": "<port>"},
                    {"name": "SIDECAR_UPSTREAM", "value": "<upstream>"},
                    {"name": "PRODUCT_SLUG", "value": "<product>"},
                ],
            },
            "volumes": [
                {"name": "bb-policy", "configMap": {"name": "<policy>"}},
                {"name": "bb-keys", "secret": {"secretName": "<secret>", "defaultMode": 292}},
            ],
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9902"},
            "native": True,
            "product_sleep": 5,
            **change,
        }
    )


def pod(*, annotations: dict[str, str] | None = None, **container: Any) -> Object:
    """Return a pod of one container, as the platform's template makes it, that asks for us."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "notes-",
            "labels": {NAME_LABEL: "acme-notes", INJECT: "true"},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": "acme-notes:1",
                    "env": [{"name": "PORT", "value": "8080"}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    **copy.deepcopy(container),
                }
            ]
        },
    }


def container_of(changed: Object, name: str = "app") -> Object:
    """Return a container of a pod, an init container too, by its name."""
    spec = changed["spec"]
    found: Object = next(
        each
        for each in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        if each["name"] == name
    )
    return found


def env_of(changed: Object, name: str = "app") -> dict[str, str]:
    """Return the variables of a container."""
    return {entry["name"]: entry["value"] for entry in container_of(changed, name)["env"]}
