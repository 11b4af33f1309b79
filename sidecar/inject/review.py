"""One admission review: what the API server asks, and what it is answered. Pure.

Source: admission.k8s.io/v1. An object that asks for the sidecar and cannot have it is refused: let
in without it, it would serve calls that nobody counts.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from sidecar.inject import words
from sidecar.inject.config import InjectorConfig
from sidecar.inject.json_patch import difference
from sidecar.inject.pods import CannotInject, Object, inject
from sidecar.inject.services import retarget

API_VERSION: Final = "admission.k8s.io/v1"


class NotAReview(ValueError):  # noqa: N818 - it names the thing at fault, and becomes an answer
    """A body that is no admission review of this version."""


def answer(body: bytes, config: InjectorConfig) -> Object:
    """Answer a review. The same object always gets the same answer, and nothing else happens.

    Raises NotAReview for what no API server sends.
    """
    request = _request(body)
    response: Object = {"uid": request["uid"], "allowed": True}
    try:
        before = request["object"]
        after, warnings = _changed(before, request, config)
    except CannotInject as problem:
        response["allowed"] = False
        response["status"] = {
            "status": "Failure",
            "reason": "Invalid",
            "code": 422,
            "message": f"bb-sidecar: {problem}",
        }
    else:
        operations = difference(before, after)
        if operations:
            patch = json.dumps(operations, separators=(",", ":")).encode()
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(patch).decode()
        if warnings:
            response["warnings"] = [f"bb-sidecar: {each}" for each in warnings]
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _request(body: bytes) -> Object:
    try:
        review = json.loads(body)
    except ValueError as error:
        raise NotAReview(f"the body is not JSON: {error}") from error
    if not isinstance(review, dict) or review.get("apiVersion") != API_VERSION:
        raise NotAReview(f"the body is not an AdmissionReview of {API_VERSION}")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise NotAReview("the review holds no request with a uid")
    if not isinstance(request.get("object"), dict):
        raise NotAReview("the review's request holds no object: only CREATE and UPDATE are ours")
    return request


def _changed(before: Object, request: Object, config: InjectorConfig) -> tuple[Object, list[str]]:
    metadata: dict[str, Any] = before.get("metadata") or {}
    # A pod made by a controller does not say its namespace; the request does.
    namespace = request.get("namespace") or metadata.get("namespace") or ""
    asked = (metadata.get("labels") or {}).get(words.INJECT) == "true"
    if not asked or namespace in words.SYSTEM_NAMESPACES | config.excluded_namespaces:
        return before, []
    kind = (request.get("kind") or {}).get("kind")
    if kind == "Pod" and request.get("operation") == "CREATE":
        return inject(before, config)
    if kind == "Service":
        return retarget(before, config)
    return before, []  # a pod's containers cannot change once it is there
