"""What a door cannot keep is refused where a policy is read for it."""

from __future__ import annotations

import pytest

from sidecar.policy.doors import DoorKind, refuse_at
from sidecar.policy.load import find_problems, load_policy
from sidecar.policy.problems import PolicyError, Severity
from tests.e2e.harness import policy


def file(meter: dict[str, object], **match: object) -> bytes:
    """Return a policy with one more route."""
    route = {"name": "u", "match": {"path": "/chat", **match}, "meter": meter}
    return policy(routes=[route]).encode()


def refused(door: DoorKind, meter: dict[str, object], **match: object) -> str:
    """Return why a door refuses a meter; empty where it does not."""
    environ = {"APP_SESSION_SECRET": "x" * 40}
    found = load_policy(file(meter, **match), file="p.yaml", environ=environ)
    try:
        refuse_at(door, found, "p.yaml")
    except PolicyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("form", ["openai", "anthropic", {"header": "x-units"}])
def test_a_door_that_sees_answers_settles_by_usage(form: object) -> None:
    """The others do not read answers."""
    meter: dict[str, object] = {"usage": {"format": form}}
    assert refused(DoorKind.PROXY, meter) == ""
    assert refused(DoorKind.ASGI, meter) == ""
    assert refused(DoorKind.AIOHTTP, meter) == ""
    assert "route 'u': the door authz never sees an answer" in refused(DoorKind.AUTHZ, meter)


@pytest.mark.parametrize("door", [DoorKind.ASGI, DoorKind.AIOHTTP])
def test_realtime_sessions_are_for_the_proxy(door: DoorKind) -> None:
    """A middleware does not read the messages of a websocket."""
    meter: dict[str, object] = {"usage": {"format": "openai_realtime"}}
    assert f"the door {door.value} does not read the messages of a websocket" in refused(
        door, meter
    )
    assert refused(DoorKind.PROXY, meter) == ""


def test_a_door_that_sees_no_answer_refunds_no_failure() -> None:
    """A middleware sees the exception."""
    meter: dict[str, object] = {"refund": "failed"}
    assert "`refund` must be" in refused(DoorKind.AUTHZ, meter)
    assert refused(DoorKind.ASGI, meter) == ""
    assert refused(DoorKind.AUTHZ, {"refund": "unreached"}) == ""


def test_a_route_by_a_field_that_no_question_carries_is_refused() -> None:
    """Its calls would fall to a later route, which may be free."""
    websocket = {"headers": {"Upgrade": "websocket"}}
    for door in (DoorKind.AUTHZ, DoorKind.EXT_AUTHZ, DoorKind.EXT_PROC):  # one process
        assert "with the field `upgrade`" in refused(door, {}, **websocket)
    assert refused(DoorKind.AUTHZ, {}, headers={"x-tier": "gold"}) == ""
    assert refused(DoorKind.ASGI, {}, **websocket) == ""


@pytest.mark.parametrize(
    ("amount", "place"),
    [
        ({"json": "/n", "default": 1, "max": 9}, "the body"),
        ({"header": "content-length", "max": 9}, "a field of"),
    ],
)
def test_an_amount_that_most_programs_do_not_send_is_a_warning(
    amount: dict[str, object], place: str
) -> None:
    """At its line: Envoy can send the body, and then its length."""
    data = file({"amount": amount})
    (found,) = find_problems(data, file="p.yaml", environ=None, door=DoorKind.AUTHZ)
    assert (found.severity, found.line > 1) == (Severity.WARNING, True)
    assert f"the amount is in {place}" in found.message
    assert refused(DoorKind.AUTHZ, {"amount": amount}) == ""
    assert find_problems(data, file="p.yaml", environ=None, door=DoorKind.ASGI) == []


def test_an_amount_in_any_other_field_is_seen() -> None:
    """Nothing is said of it."""
    data = file({"amount": {"header": "x-units", "default": 1, "max": 9}})
    assert find_problems(data, file="p.yaml", environ=None, door=DoorKind.AUTHZ) == []


@pytest.mark.parametrize(
    ("meter", "refused_at"),
    [({"usage": {"format": "openai"}}, "ext_authz"), ({"refund": "failed"}, "ext_authz"), ({}, "")],
)
def test_over_grpc_only_what_needs_the_answer_is_refused(
    meter: dict[str, object], refused_at: str
) -> None:
    """And no amount is a warning; ext_proc sees the answer too."""
    assert refused_at in refused(DoorKind.EXT_AUTHZ, meter)
    assert bool(refused(DoorKind.EXT_AUTHZ, meter)) == bool(refused_at)
    assert refused(DoorKind.EXT_PROC, meter) == ""


def test_beside_ext_proc_a_door_takes_what_needs_the_answer() -> None:
    """And refuses those calls by itself; what it would not see stays an error."""
    environ = {"APP_SESSION_SECRET": "x" * 40}
    found = load_policy(file({"refund": "failed"}), file="p.yaml", environ=environ)
    refuse_at(DoorKind.AUTHZ, found, "p.yaml", beside_ext_proc=True)
    by_field = load_policy(file({}, headers={"upgrade": "x"}), file="p.yaml", environ=environ)
    with pytest.raises(PolicyError):
        refuse_at(DoorKind.AUTHZ, by_field, "p.yaml", beside_ext_proc=True)
