"""What a policy asks for that some doors cannot keep."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from sidecar.domain.choices import Refund
from sidecar.policy.compiled import Meter, Policy
from sidecar.policy.problems import PolicyError, PolicyProblem


class DoorKind(StrEnum):
    """The doors, as `check --door` names them."""

    PROXY = "proxy"
    ASGI = "asgi"
    AIOHTTP = "aiohttp"
    AUTHZ = "authz"


def refuse_at(door: DoorKind, policy: Policy, file: str) -> None:
    """Refuse a policy whose calls this door would charge wrongly. Raises PolicyError."""
    problems = problems_at(door, policy, file)
    if problems:
        raise PolicyError(problems)


def problems_at(door: DoorKind, policy: Policy, file: str) -> list[PolicyProblem]:
    """Return what this door cannot keep of a policy."""
    return [
        PolicyProblem(file, 0, 0, f"route {route.name!r}: {what}")
        for route in policy.routes
        if route.meter is not None
        for what in _cannot(door, route.meter)
    ]


def _cannot(door: DoorKind, meter: Meter) -> Iterator[str]:
    if door is DoorKind.PROXY:
        return
    if meter.usage is not None:
        yield f"the door {door.value} settles no `usage`: use the proxy, or take it out"
    if door is DoorKind.AUTHZ and meter.refund is Refund.FAILED:
        yield "the door authz never sees an answer: `refund` must be `unreached` or `never`"
