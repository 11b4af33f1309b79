"""What becomes of a Service that asks for it: its target port is the sidecar's. Pure.

Only a product that does not go by `PORT` needs this. Where the sidecar took over the product's
port, a Service finds it as it is, which also lets pods with and without a sidecar live side by
side during a rollout.
"""

from __future__ import annotations

import copy
from typing import Any

from sidecar.inject import words
from sidecar.inject.asking import CannotInject, Object, port_of
from sidecar.inject.config import InjectorConfig


def retarget(service: Object, config: InjectorConfig) -> tuple[Object, list[str]]:
    """Return the Service with its target moved to the sidecar, and no warnings so far.

    A target that is a name stays: pods declare the sidecar's number under it. Raises
    CannotInject where it cannot be known which port is the product's.
    """
    metadata = service.get("metadata") or {}
    asked: dict[str, str] = metadata.get("annotations") or {}
    wanted = asked.get(words.PORT)
    sidecar = config.port if wanted is None else port_of(wanted, words.PORT)
    entries: list[Object] = (service.get("spec") or {}).get("ports") or []
    index = _index(entries, asked.get(words.PRODUCT_PORT), sidecar)
    if index is None or isinstance(_target(entries[index]), str):
        return service, []
    service = copy.deepcopy(service)
    service["spec"]["ports"][index]["targetPort"] = sidecar
    return service, []


def _index(entries: list[Object], fixed: str | None, sidecar: int) -> int | None:
    """Find the port that leads to the product; None when it leads to the sidecar already."""
    if any(_target(entry) == sidecar for entry in entries):
        return None
    if fixed is not None:
        product = port_of(fixed, words.PRODUCT_PORT)
        for index, entry in enumerate(entries):
            if _target(entry) == product:
                return index
        raise CannotInject(
            f"{words.PRODUCT_PORT}: {product} is no target port of this Service: its targets are"
            f" {', '.join(str(_target(entry)) for entry in entries) or 'none'}"
        )
    if len(entries) == 1:
        return 0
    raise CannotInject(
        "which of the ports leads to the product is not said: set the annotation"
        f" {words.PRODUCT_PORT} to its target port"
    )


def _target(entry: Object) -> Any:  # noqa: ANN401 - a number or a name
    return entry.get("targetPort") or entry["port"]
