"""What no API server sends is told so, and never ends in an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.inject import words
from sidecar.inject.review import answer
from sidecar.inject.shape import NotAReview, read
from tests.unit.inject.pods import config, pod


def _review(body: object, **request: Any) -> bytes:
    asked = {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE", "object": body, **request}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "request": asked}).encode()


def _with(**change: Any) -> dict[str, Any]:
    return {**pod(), **change}


_LABELS = pod()["metadata"]["labels"]

WRONG = {
    "metadata that is a list": _with(metadata=[1]),
    "labels that are a word": _with(metadata={"labels": "x"}),
    "an annotation that is a number": _with(
        metadata={"labels": _LABELS, "annotations": {words.PORT: 8080}}
    ),
    "no spec": {"metadata": {"labels": _LABELS}},
    "a spec that is a word": _with(spec="x"),
    "containers that are no list": _with(spec={"containers": {"a": 1}}),
    "a container that is a word": _with(spec={"containers": ["a"]}),
    "a container without a name": _with(spec={"containers": [{"image": "x"}]}),
    "env that is a word": pod(env="x"),
    "a port that is a word": pod(ports=[{"containerPort": "8080"}]),
    "a probe that is a list": pod(livenessProbe=[]),
    "grace in words": _with(spec={"containers": [], "terminationGracePeriodSeconds": "9"}),
    "sysctls that are no list": _with(spec={"securityContext": {"sysctls": {}}}),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_object_of_another_shape_is_told(name: str) -> None:
    """The fields that are read are looked at before any of them is used."""
    with pytest.raises(NotAReview, match=r"[a-z0-9]: "):
        answer(read(_review(WRONG[name])), config())


@pytest.mark.parametrize(
    "request_",
    [{"uid": 1}, {"kind": "Pod"}, {"namespace": ["a"]}, {"operation": None}, {"object": None}],
    ids=str,
)
def test_a_request_of_another_shape_is_told(request_: dict[str, Any]) -> None:
    """Nor is anything of the request taken on trust."""
    with pytest.raises(NotAReview, match="request"):
        answer(read(_review(pod(), **request_)), config())


@pytest.mark.parametrize("depth", [900, 20_000])
def test_what_is_nested_without_an_end_is_told(depth: int) -> None:
    """Whether it is too deep to be read or too deep to be compared."""
    text = _review(_with(deep="HERE")).decode()
    deep = text.replace('"HERE"', "[" * depth + "]" * depth).encode()
    with pytest.raises(NotAReview, match="nested deeper"):
        answer(read(deep), config())


def test_what_is_no_number_of_json_is_told() -> None:
    """It is not equal to itself, so that it would be a change without one."""
    with pytest.raises(NotAReview, match="NaN"):
        read(_review(_with(x="HERE")).replace(b'"HERE"', b"NaN"))


def test_other_kinds_may_have_any_shape() -> None:
    """A field that has another meaning there is no fault."""
    other = {"metadata": {"labels": {words.INJECT: "true"}}, "spec": {"containers": "none"}}
    response = answer(read(_review(other, kind={"kind": "Cage"})), config())["response"]
    assert response == {"uid": "u", "allowed": True}
