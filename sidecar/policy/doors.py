"""What a policy asks for that some doors cannot keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from sidecar.domain.choices import Refund
from sidecar.domain.usage import UsageFormat
from sidecar.policy.amounts import HeaderAmount
from sidecar.policy.compiled import Meter, Policy
from sidecar.policy.problems import PolicyError, PolicyProblem, Severity
from sidecar.policy.source import Where

_NOT_ASKED_WITH: Final = frozenset(
    {
        b"connection", b"content-length", b"expect", b"keep-alive", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Fields of a call that its proxy does not send with a question: they are of its connection."""


class DoorKind(StrEnum):
    """The doors, as `check --door` names them."""

    PROXY = "proxy"
    ASGI = "asgi"
    AIOHTTP = "aiohttp"
    AUTHZ = "authz"  # forward auth, and Envoy's ext_authz over HTTP
    EXT_AUTHZ = "ext_authz"  # over gRPC: the question has every field, and the body
    EXT_PROC = "ext_proc"  # shows the answer too


_ASKED_BY_PROXIES: Final = frozenset({DoorKind.AUTHZ, DoorKind.EXT_AUTHZ, DoorKind.EXT_PROC})
"""Doors of `authz`, whose HTTP port is always open."""


@dataclass(frozen=True, slots=True)
class Unkept:
    """A part of a policy that a door cannot keep, or with a warning sees only at times."""

    where: Where
    route: str
    what: str
    severity: Severity = Severity.ERROR
    of_answer: bool = False  # it depends on the answer, so ext_proc can keep it

    def __str__(self) -> str:
        return f"route {self.route!r}: {self.what}"


def refuse_at(door: DoorKind, policy: Policy, file: str, *, beside_ext_proc: bool = False) -> None:
    """Refuse a policy whose calls this door would charge wrongly. Raises PolicyError.

    `beside_ext_proc`: the process has that door too, and this one refuses the calls that need it.
    """
    problems = [
        PolicyProblem(file, 0, 0, str(part))
        for part in unkept_by(door, policy)
        if part.severity is Severity.ERROR and not (beside_ext_proc and part.of_answer)
    ]
    if problems:
        raise PolicyError(problems)


def unkept_by(door: DoorKind, policy: Policy) -> Iterator[Unkept]:
    """Give what this door cannot keep of a policy."""
    for number, route in enumerate(policy.routes):
        where = ("routes", number)
        if door in _ASKED_BY_PROXIES:
            for name, _ in policy.router.matches[number].headers:
                if name in _NOT_ASKED_WITH:
                    what = (
                        f"over HTTP, authz is not asked with the field `{name.decode('ascii')}`, "
                        "so its calls would fall to a later route: match them by path"
                    )
                    yield Unkept((*where, "match", "headers"), route.name, what)
        if route.meter is not None:
            yield from _unkept_of(door, route.meter, route.name, (*where, "meter"))


def _unkept_of(door: DoorKind, meter: Meter, route: str, where: Where) -> Iterator[Unkept]:
    match door:
        case DoorKind.PROXY:
            return
        case DoorKind.ASGI | DoorKind.AIOHTTP | DoorKind.EXT_PROC:
            if meter.usage is not None and meter.usage.format is UsageFormat.OPENAI_REALTIME:
                what = (
                    f"the door {door.value} does not read the messages of a websocket: charge "
                    "`format: openai_realtime` at the proxy, or take `usage` out"
                )
                yield Unkept((*where, "usage", "format"), route, what)
        case DoorKind.AUTHZ:
            yield from _of_answer(door, meter, route, where)
            yield from _seldom_sent(meter, route, where)
        case DoorKind.EXT_AUTHZ:
            yield from _of_answer(door, meter, route, where)
        case _:
            assert_never(door)


def _of_answer(door: DoorKind, meter: Meter, route: str, where: Where) -> Iterator[Unkept]:
    never = f"the door {door.value} never sees an answer"
    if meter.usage is not None:
        what = f"{never}: settle `usage` at another, or take it out"
        yield Unkept((*where, "usage"), route, what, of_answer=True)
    if meter.refund is Refund.FAILED:
        what = f"{never}: `refund` must be `unreached` or `never`"
        yield Unkept((*where, "refund"), route, what, of_answer=True)


def _seldom_sent(meter: Meter, route: str, where: Where) -> Iterator[Unkept]:
    amount = meter.amount
    in_field = isinstance(amount, HeaderAmount) and amount.name in _NOT_ASKED_WITH
    if amount.needs_body or in_field:
        place = "a field of the connection" if in_field else "the body"
        what = (
            f"the amount is in {place}, which Envoy alone can send with its question: elsewhere a "
            "call costs the `default`, and without one it gets 422"
        )
        yield Unkept((*where, "amount"), route, what, Severity.WARNING)
