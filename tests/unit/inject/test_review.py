"""Admission reviews as the API server writes them."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonpatch
import pytest

from sidecar.inject import words
from sidecar.inject.review import answer
from sidecar.inject.shape import NotAReview, read
from tests.unit.inject.pods import config, container_of, pod


def _review(body: dict[str, Any], **request: Any) -> bytes:
    return json.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
                "kind": {"group": "", "version": "v1", "kind": body.get("kind", "Pod")},
                "operation": "CREATE",
                "namespace": "acme",
                "dryRun": False,
                "object": body,
                **request,
            },
        }
    ).encode()


def _ask(body: dict[str, Any], **request: Any) -> dict[str, Any]:
    response: dict[str, Any] = answer(read(_review(body, **request)), config())["response"]
    return response


def _applied(body: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    patched: dict[str, Any] = jsonpatch.apply_patch(body, base64.b64decode(response["patch"]))
    return patched


def test_a_labelled_pod_is_patched() -> None:
    """The patch, applied, puts the sidecar in; the answer carries the question's uid."""
    response = _ask(pod())
    assert response["uid"] == "0df28fbd-5f5f-11e8-bc74-36e6bb280816"
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    assert container_of(_applied(pod(), response), "bb-sidecar")


def test_a_labelled_service_is_patched() -> None:
    """Services are asked about at every change, for their ports can change."""
    service = {
        "kind": "Service",
        "metadata": {"name": "notes", "labels": {words.INJECT: "true"}},
        "spec": {"ports": [{"port": 80, "targetPort": 3000}]},
    }
    response = _ask(service, operation="UPDATE")
    assert _applied(service, response)["spec"]["ports"][0]["targetPort"] == 8080


def test_a_dry_run_gets_the_same_answer() -> None:
    """There is no side effect to leave out."""
    assert _ask(pod(), dryRun=True) == _ask(pod())


def test_a_second_review_changes_nothing() -> None:
    """A pod that was patched and comes again is let in as it is."""
    again = _ask(_applied(pod(), _ask(pod())))
    assert again == {"uid": again["uid"], "allowed": True}


@pytest.mark.parametrize("namespace", [*sorted(words.SYSTEM_NAMESPACES), "ours"])
def test_some_namespaces_are_never_touched(namespace: str) -> None:
    """Whatever the webhook was told to select: a cluster must come up without us."""
    body = _review(pod(), namespace=namespace)
    settings = config(excluded_namespaces=["ours"])
    assert "patch" not in answer(read(body), settings)["response"]


@pytest.mark.parametrize("value", [None, "false", "True"])
def test_what_does_not_ask_is_let_in_as_it_is(value: str | None) -> None:
    """Only the label's very value asks."""
    body = pod()
    body["metadata"]["labels"][words.INJECT] = value
    assert "patch" not in _ask(body)


def test_a_pod_that_is_there_is_not_changed() -> None:
    """Containers of a running pod cannot be added to."""
    assert "patch" not in _ask(pod(), operation="UPDATE")


def test_other_kinds_are_let_in_as_they_are() -> None:
    """A wide webhook configuration does no harm."""
    assert "patch" not in _ask({**pod(), "kind": "Job"})


def test_who_cannot_be_injected_is_refused_with_the_mend() -> None:
    """The person who applies it reads why, and what to write."""
    response = _ask(pod(annotations={words.CONTAINER: "web"}))
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    assert "one of: app" in response["status"]["message"]


def test_warnings_reach_whoever_applies() -> None:
    """They are what kubectl prints."""
    response = _ask(pod(annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "1"}))
    assert response["warnings"][0].startswith("bb-sidecar: ")
    assert all(len(each) <= 120 for each in response["warnings"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"apiVersion": "admission.k8s.io/v1beta1"}',
        b'{"apiVersion": "admission.k8s.io/v1", "request": {}}',
        b'{"apiVersion": "admission.k8s.io/v1", "request": {"uid": "u"}}',
    ],
)
def test_what_is_no_review_is_told(body: bytes) -> None:
    """A stray caller gets an error of its own, not a permission."""
    with pytest.raises(NotAReview):
        answer(read(body), config())


def test_an_answer_larger_than_any_of_a_real_pod_is_not_made() -> None:
    """A review of thousands of ports would otherwise cost many times its size."""
    asked = {words.PRODUCT_PORT: "3000"}
    many = pod(annotations=asked, env=[], ports=[{"containerPort": 3000}] * 3_000)
    with pytest.raises(NotAReview, match="its changes would be more than 131072 bytes"):
        _ask(many)


def test_a_pod_with_another_container_of_the_sidecars_name_is_refused_with_a_reason() -> None:
    """The message says what to do; let in without a word, its calls would not be counted."""
    given = pod()
    given["spec"]["containers"].append({"name": "bb-sidecar", "image": "acme/other:1"})
    response = _ask(given)
    assert response["allowed"] is False
    assert "give it another name" in response["status"]["message"]
