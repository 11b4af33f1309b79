"""One admission review: what the API server asks, and what it is answered. Pure.

Source: admission.k8s.io/v1. An object that asks for the sidecar and cannot have it is refused: let
in without it, it would serve calls that are not counted.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from sidecar.inject import words
from sidecar.inject.asking import CannotInject, Object
from sidecar.inject.config import InjectorConfig
from sidecar.inject.json_patch import difference
from sidecar.inject.pods import inject
from sidecar.inject.services import retarget
from sidecar.inject.shape import API_VERSION, NotAReview

_MOST_PATCH: Final = 128 * 1024
"""Bytes of the changes to one object: usual ones are below 10 KiB."""


def answer(request: Object, config: InjectorConfig) -> Object:
    """Answer a review. The same object always gets the same answer, and nothing else happens.

    Raises NotAReview for what no API server sends.
    """
    response: Object = {"uid": request["uid"], "allowed": True}
    before = request["object"]
    try:
        after, warnings = _changed(before, request, config)
        operations = difference(before, after)
    except RecursionError as error:
        raise NotAReview("the object is nested deeper than any of the API") from error
    except CannotInject as problem:
        response["allowed"] = False
        response["status"] = {
            "status": "Failure",
            "reason": "Invalid",
            "code": 422,
            "message": f"bb-sidecar: {problem}",
        }
    else:
        if operations:
            patch = json.dumps(operations, separators=(",", ":")).encode()
            if len(patch) > _MOST_PATCH:
                raise NotAReview(f"its changes would be more than {_MOST_PATCH} bytes")
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(patch).decode()
        if warnings:
            response["warnings"] = [f"bb-sidecar: {each}" for each in warnings]
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def about(request: Object) -> str:
    """Say what a request is about, as namespace/name; a new pod has only the start of its name."""
    metadata: Object = request["object"].get("metadata") or {}
    namespace = request.get("namespace") or metadata.get("namespace") or ""
    return f"{namespace}/{metadata.get('name') or metadata.get('generateName') or ''}"


def _changed(before: Object, request: Object, config: InjectorConfig) -> tuple[Object, list[str]]:
    metadata: dict[str, Any] = before.get("metadata") or {}
    # A pod made by a controller does not say its namespace; the request does.
    namespace = request.get("namespace") or metadata.get("namespace") or ""
    asked = (metadata.get("labels") or {}).get(words.INJECT) == "true"
    if not asked or namespace in words.SYSTEM_NAMESPACES | config.excluded_namespaces:
        return before, []
    kind = request["kind"]["kind"]
    if kind == "Pod" and request["operation"] == "CREATE":
        return inject(before, config, namespace)
    if kind == "Service":
        return retarget(before, config)
    return before, []  # a pod's containers cannot change once it is there
