"""The shape of a review and of its pod or Service, as far as they are read here. Pure.

The API server checks objects itself, so what does not fit came from another client. It is refused
before any of it is used: an error half-way would be a 500, which `failurePolicy: Ignore` takes for
a permission.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

API_VERSION: Final = "admission.k8s.io/v1"
_MOST_FAULTS: Final = 3

_MOST_VALUES: Final = 30_000
"""Of a review: a large pod has some thousands. Each costs up to 250 bytes of memory as an object,
while its JSON may be two bytes."""


class NotAReview(ValueError):  # noqa: N818 - it names the thing at fault, and becomes an answer
    """A body that is no admission review of this version."""


class _Part(BaseModel):
    """Some fields of an object, under Kubernetes' own names; its others are anything."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Metadata(_Part):
    name: str | None = None
    generateName: str | None = None  # noqa: N815
    namespace: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None


class _Named(_Part):
    name: str


class _Action(_Part):
    port: int | str | None = None


class _Handler(_Part):
    httpGet: _Action | None = None  # noqa: N815
    tcpSocket: _Action | None = None  # noqa: N815
    grpc: _Action | None = None


class _Lifecycle(_Part):
    postStart: _Handler | None = None  # noqa: N815
    preStop: _Handler | None = None  # noqa: N815


class _Variable(_Named):
    value: str | None = None
    valueFrom: dict[str, Any] | None = None  # noqa: N815


class _Reference(_Part):
    name: str | None = None


class _Source(_Part):
    prefix: str | None = None
    configMapRef: _Reference | None = None  # noqa: N815
    secretRef: _Reference | None = None  # noqa: N815


class _ContainerPort(_Part):
    containerPort: int  # noqa: N815
    name: str | None = None
    protocol: str | None = None


class _Container(_Named):
    image: str | None = None
    env: list[_Variable] | None = None
    envFrom: list[_Source] | None = None  # noqa: N815
    ports: list[_ContainerPort] | None = None
    lifecycle: _Lifecycle | None = None
    livenessProbe: _Handler | None = None  # noqa: N815
    readinessProbe: _Handler | None = None  # noqa: N815
    startupProbe: _Handler | None = None  # noqa: N815


class _System(_Part):
    name: str | None = None


class _Sysctl(_Named):
    value: str | None = None


class _Security(_Part):
    sysctls: list[_Sysctl] | None = None


class _PodSpec(_Part):
    containers: list[_Container] | None = None
    initContainers: list[_Container] | None = None  # noqa: N815
    volumes: list[_Named] | None = None
    hostNetwork: bool | None = None  # noqa: N815
    restartPolicy: str | None = None  # noqa: N815
    os: _System | None = None
    securityContext: _Security | None = None  # noqa: N815
    terminationGracePeriodSeconds: int | None = None  # noqa: N815


class _ServicePort(_Part):
    port: int
    targetPort: int | str | None = None  # noqa: N815


class _ServiceSpec(_Part):
    ports: list[_ServicePort] | None = None


class _Object(_Part):
    metadata: _Metadata | None = None


class _Pod(_Object):
    spec: _PodSpec


class _Service(_Object):
    spec: _ServiceSpec


class _Kind(_Part):
    kind: str


class _Request(_Part):
    uid: str
    kind: _Kind
    operation: str
    object: dict[str, Any]
    namespace: str | None = None


class _Review(_Part):
    request: _Request


_OBJECTS: Final[dict[str, type[_Object]]] = {"Pod": _Pod, "Service": _Service}
"""Other kinds are let in as they are, whatever a wide webhook configuration sends."""


def read(body: bytes | bytearray) -> dict[str, Any]:
    """Return a review's request as it came. Raises NotAReview for what no API server sends."""
    # Commas in texts are counted too: an upper bound, found without making one object.
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise NotAReview(f"the body has more than {_MOST_VALUES} values")
    try:
        review = json.loads(body, parse_constant=_no_number)
    except ValueError as error:
        raise NotAReview(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise NotAReview("the body is nested deeper than any object of the API") from error
    if not isinstance(review, dict) or review.get("apiVersion") != API_VERSION:
        raise NotAReview(f"the body is not an AdmissionReview of {API_VERSION}")
    try:
        kind = _Review.model_validate(review).request.kind.kind
        _OBJECTS.get(kind, _Object).model_validate(review["request"]["object"])
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: "
            + ("Input should be an object" if fault["type"] == "model_type" else fault["msg"])
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise NotAReview("; ".join(faults[:_MOST_FAULTS])) from error
    request: dict[str, Any] = review["request"]
    return request


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")
