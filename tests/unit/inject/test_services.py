"""A Service that asks for it: its target moves, or it is known why not."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.inject import words
from sidecar.inject.asking import CannotInject
from sidecar.inject.services import retarget
from tests.unit.inject.pods import config


def _service(*ports: dict[str, Any], **annotations: str) -> dict[str, Any]:
    asked = {
        f"{words.PREFIX}{name.replace('_', '-')}": value for name, value in annotations.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "notes", "annotations": asked},
        "spec": {"ports": list(ports)},
    }


def _targets(service: dict[str, Any]) -> list[Any]:
    changed, _ = retarget(service, config())
    return [entry.get("targetPort") for entry in changed["spec"]["ports"]]


def test_the_only_port_is_the_products() -> None:
    """With one port there is no choice."""
    assert _targets(_service({"port": 80, "targetPort": 3000})) == [8080]


def test_a_port_without_target_leads_to_itself() -> None:
    """The port is the target where none is written."""
    assert _targets(_service({"port": 3000})) == [8080]


def test_the_named_port_moves_alone() -> None:
    """Other ports of the product stay."""
    service = _service(
        {"port": 80, "targetPort": 3000}, {"port": 9000, "targetPort": 9000}, product_port="3000"
    )
    assert _targets(service) == [8080, 9000]


def test_the_sidecar_can_be_elsewhere() -> None:
    """The same annotation as on the pod says where."""
    assert _targets(_service({"port": 80, "targetPort": 3000}, port="8081")) == [8081]


def test_a_name_stays() -> None:
    """Pods declare the sidecar's number under the name, with and without a sidecar in them."""
    assert _targets(_service({"port": 80, "targetPort": "http"})) == ["http"]


def test_moving_twice_is_moving_once() -> None:
    """A Service that leads to the sidecar stays as it is."""
    service = _service({"port": 80, "targetPort": 3000}, {"port": 81, "targetPort": 8080})
    assert retarget(service, config()) == (service, [])


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (_service({"port": 80, "targetPort": 1}, {"port": 81, "targetPort": 2}), "is not said"),
        (_service({"port": 80, "targetPort": 1}, product_port="3000"), "its targets are 1"),
        (_service({"port": 80}, port="x"), "'x': must be a port"),
    ],
)
def test_an_open_choice_is_refused(service: dict[str, Any], told: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(CannotInject, match=told):
        retarget(service, config())
