"""The strict schemas of every Kubernetes release that the chart is for.

The package `kubernetes-validate` holds them; it reads a file of megabytes for each object it
validates, so the validators are made here once each.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator
from kubernetes_validate.utils import all_versions
from referencing import Registry, Resource

OLDEST: Final = (1, 27)
CUSTOM: Final = frozenset(
    {"monitoring.coreos.com/v1", "cert-manager.io/v1", "gateway.networking.k8s.io/v1"}
)
"""Kinds that are no part of Kubernetes: their operators' schemas are not in the package."""


def releases() -> list[str]:
    """Return the releases from 1.27 to the newest that is known, such as `1.34`."""
    known = {tuple(map(int, version.split(".")[:2])) for version in all_versions()}
    return [f"{major}.{minor}" for major, minor in sorted(known) if (major, minor) >= OLDEST]


def problems(document: dict[str, Any], release: str) -> list[str]:
    """Return what a release's strict schema says against an object."""
    if document["apiVersion"] in CUSTOM:
        return []
    errors = _validator(release, document["apiVersion"], document["kind"]).iter_errors(document)
    return [
        f"{release} {document['kind']} {'.'.join(map(str, error.path))}: {error.message[:200]}"
        for error in errors
    ]


@cache
def _registry(release: str) -> Registry[Any]:
    resource: Resource[Any] = Resource.from_contents(_read(release, "_definitions.json"))
    return resource @ Registry()


@cache
def _validator(release: str, api_version: str, kind: str) -> Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = _read(release, f"{kind.lower()}-{group}.json")
    resource: Resource[Any] = Resource.from_contents(schema)
    return Draft202012Validator(schema, registry=resource @ _registry(release))


def _read(release: str, name: str) -> Any:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{release}.0-local-strict"
    return json.loads((folder / name).read_text())
