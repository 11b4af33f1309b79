"""The shape of a review and of its pod or Service, as far as they are read here. Pure.

The API server checks objects itself, so what does not fit came from another client. It is refused
before any of it is used: an error half-way would be a 500, which `failurePolicy: Ignore` takes for
a permission.
"""

from __future__ import annotations

import json
from types import GenericAlias
from typing import Any, Final, NoReturn

from pydantic import ConfigDict, ValidationError, create_model

API_VERSION: Final = "admission.k8s.io/v1"
_MOST_FAULTS: Final = 3

_MOST_VALUES: Final = 30_000
"""Of a review: a large pod has some thousands. Each costs up to 250 bytes of memory as an object,
while its JSON may be two bytes."""


class NotAReview(ValueError):  # noqa: N818 - it names the thing at fault, and becomes an answer
    """A body that is no admission review of this version."""


def _part(name: str, /, *required: str, **kinds: Any) -> Any:  # noqa: ANN401 - a model
    """Make a model of some fields of an object; its other fields are anything.

    `[kind]` is a list of it. What is not `required` may be missing, or null.
    """
    fields: dict[str, Any] = {}
    for field, given in kinds.items():
        kind = GenericAlias(list, tuple(given)) if isinstance(given, list) else given
        fields[field] = (kind, ...) if field in required else (kind | None, None)
    return create_model(name, __config__=ConfigDict(extra="ignore", strict=True), **fields)


_Texts: Final = dict[str, str | None]
_Number: Final = int | str
"""A port by its number or its name."""

_Named: Final = _part("Named", "name", name=str)
_Action: Final = _part("Action", port=_Number)
_Handler: Final = _part("Handler", httpGet=_Action, tcpSocket=_Action, grpc=_Action)
_Lifecycle: Final = _part("Lifecycle", postStart=_Handler, preStop=_Handler)
_Variable: Final = _part("Variable", "name", name=str, value=str, valueFrom=dict[str, Any])
_Reference: Final = _part("Reference", name=str)
_Source: Final = _part("Source", prefix=str, configMapRef=_Reference, secretRef=_Reference)
_Port: Final = _part("Port", "containerPort", containerPort=int, name=str, protocol=str)
_Container: Final = _part(
    "Container", "name", name=str, image=str, env=[_Variable], envFrom=[_Source],
    ports=[_Port], lifecycle=_Lifecycle, livenessProbe=_Handler, readinessProbe=_Handler,
    startupProbe=_Handler,
)  # fmt: skip
_Sysctl: Final = _part("Sysctl", "name", name=str, value=str)
_PodSpec: Final = _part(
    "PodSpec", containers=[_Container], initContainers=[_Container], volumes=[_Named],
    hostNetwork=bool, restartPolicy=str, os=_part("System", name=str),
    securityContext=_part("Security", sysctls=[_Sysctl]), terminationGracePeriodSeconds=int,
)  # fmt: skip
_ServicePort: Final = _part("ServicePort", "port", port=int, targetPort=_Number)
_ServiceSpec: Final = _part("ServiceSpec", ports=[_ServicePort])
_Metadata: Final = _part(
    "Metadata", name=str, generateName=str, namespace=str, labels=_Texts, annotations=_Texts
)
_Object: Final = _part("Object", metadata=_Metadata)
_Request: Final = _part(
    "Request", "uid", "kind", "operation", "object", uid=str,
    kind=_part("Kind", "kind", kind=str), operation=str, object=dict[str, Any], namespace=str,
)  # fmt: skip
_Review: Final = _part("Review", "request", request=_Request)

_OBJECTS: Final = {
    "Pod": _part("Pod", "spec", spec=_PodSpec, metadata=_Metadata),
    "Service": _part("Service", "spec", spec=_ServiceSpec, metadata=_Metadata),
}
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
