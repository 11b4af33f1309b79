"""Any JSON at all in a review: an answer, or the word that it is none, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from sidecar.inject import words
from sidecar.inject.review import answer
from sidecar.inject.shape import NotAReview, read
from tests.unit.inject.pods import config, container_of

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "PORT", "app", "8080", "18080", "9901", "http", "Always", "<port>"])
    | st.text(max_size=5)
)
_FIELDS = (
    "annotations", "containerPort", "containers", "env", "hostNetwork", "httpGet", "initContainers",
    "labels", "lifecycle", "livenessProbe", "name", "os", "port", "ports", "preStop", "protocol",
    "restartPolicy", "securityContext", "sysctls", "targetPort", "terminationGracePeriodSeconds",
    "value", "valueFrom", "volumes",
)  # fmt: skip
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=5)
    ),
    max_leaves=20,
)
_ANNOTATIONS = st.dictionaries(st.sampled_from(words.ANNOTATIONS), _SCALARS, max_size=3)
_CONTAINERS = st.lists(
    st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING, max_size=4).map(
        lambda fields: {"name": "app", **fields}
    ),
    max_size=2,
)
_SPECS = _ANYTHING | st.builds(
    lambda containers, fields: {**fields, "containers": containers},
    _CONTAINERS,
    st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING, max_size=2),
)


@given(
    kind=st.sampled_from(["Pod", "Service", "Job"]),
    annotations=_ANNOTATIONS | _ANYTHING,
    spec=_SPECS,
)
def test_nothing_makes_the_injector_fail(kind: str, annotations: Any, spec: Any) -> None:
    """An error would be a 500, which `failurePolicy: Ignore` takes for a permission."""
    labels = {words.INJECT: "true", words.NAME_LABEL: "acme-notes"}
    body = {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}
    request = {"uid": "u", "kind": {"kind": kind}, "operation": "CREATE", "object": body}
    review = {"apiVersion": "admission.k8s.io/v1", "request": request}
    with contextlib.suppress(NotAReview):
        response = answer(read(json.dumps(review).encode()), config())["response"]
        assert response["allowed"] is (response.get("status") is None)
        if kind == "Pod" and response["allowed"]:
            patch = json.loads(base64.b64decode(response.get("patch", b"W10=")))
            assert container_of(jsonpatch.apply_patch(body, patch), "bb-sidecar")
