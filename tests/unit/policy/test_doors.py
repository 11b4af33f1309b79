"""What a door cannot keep is refused where a policy is read for it."""

from __future__ import annotations

import pytest

from sidecar.policy.doors import DoorKind, refuse_at
from sidecar.policy.load import load_policy
from sidecar.policy.problems import PolicyError
from tests.e2e.harness import policy


def refused(door: DoorKind, meter: dict[str, object]) -> str:
    """Return why a door refuses a meter; empty where it does not."""
    route = {"name": "u", "match": {"path": "/chat"}, "meter": meter}
    found = load_policy(policy(routes=[route]).encode(), file="p.yaml", environ={
        "APP_SESSION_SECRET": "x" * 40,
    })  # fmt: skip
    try:
        refuse_at(door, found, "p.yaml")
    except PolicyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("door", [DoorKind.ASGI, DoorKind.AIOHTTP, DoorKind.AUTHZ])
def test_usage_is_for_the_proxy(door: DoorKind) -> None:
    """The others do not read answers."""
    meter: dict[str, object] = {"usage": {"format": "openai"}}
    assert f"route 'u': the door {door.value} settles no `usage`" in refused(door, meter)
    assert refused(DoorKind.PROXY, meter) == ""


def test_a_door_that_sees_no_answer_refunds_no_failure() -> None:
    """A middleware sees the exception."""
    meter: dict[str, object] = {"refund": "failed"}
    assert "`refund` must be" in refused(DoorKind.AUTHZ, meter)
    assert refused(DoorKind.ASGI, meter) == ""
    assert refused(DoorKind.AUTHZ, {"refund": "unreached"}) == ""
