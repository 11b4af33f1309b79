"""Forward auth on the data plane: 200 with its fields, or a refusal as the program needs it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from sidecar.domain.model import AttemptEnd, Call, Decision, Reason, RequestIdOrigin
from sidecar.domain.ports import BodySource
from sidecar.frontends.forward_auth import ForwardAuth
from sidecar.proxy.server import Server
from sidecar.settings.sections import Limits
from tests.fakes.doors import OneDoor
from tests.fakes.engines import AllowingEngine, HeldEngine, ReadingEngine, RefusingEngine
from tests.plane import eventually

FORWARDED = {"x-forwarded-method": "POST", "x-forwarded-uri": "/chat"}


class FreeEngine(AllowingEngine):
    """Meters nothing, and knows no caller."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        permit = self.allow(call).permit
        return Decision(Reason.UNMETERED, "route", call.request_id, permit)


class ForeignEngine(AllowingEngine):
    """Refuses every call, in words that are not ASCII."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        detail = "zu viel für \U0001f600\x7f"
        return Decision(Reason.OVER_QUOTA, "route", call.request_id, None, 429, detail)


@contextlib.asynccontextmanager
async def asking(
    engine: AllowingEngine, **limits: int
) -> AsyncIterator[tuple[httpx.AsyncClient, OneDoor]]:
    """Serve questions, with a client that asks."""
    doors = OneDoor(engine)
    server = Server(
        ForwardAuth(doors.one),
        limits=Limits(**limits),
        trusted=[ipaddress.ip_network("127.0.0.0/8")],
        observer=doors.observer,
    )
    port = await server.start("127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client, doors
    finally:
        await server.close()
    assert doors.one.drain.inflight == 0
    assert engine.settled_once()


async def test_an_allowed_call_has_the_fields_that_are_copied() -> None:
    """Whose it is, its request ID, and its quota; the attempt is done."""
    engine = AllowingEngine()
    asked = {**FORWARDED, "x-request-id": "mine", "x_units": "100"}
    async with asking(engine) as (client, _):
        answer = await client.get("/forward-auth", headers=asked)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-bb-org-id"] == "org_acme"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["ratelimit"].startswith('"ai_calls";r=13;t=')
    (call,) = engine.calls
    assert (call.method, call.path) == ("POST", "/chat")
    assert (b"x-units", b"100") in call.headers  # as a product behind CGI reads it
    assert call.request_id_origin is RequestIdOrigin.TRUSTED
    assert engine.executions == [AttemptEnd.DONE]


async def test_an_unknown_caller_overwrites_a_forged_one() -> None:
    """Envoy leaves a field alone that the answer does not have."""
    async with asking(FreeEngine()) as (client, _):
        answer = await client.get("/forward-auth", headers=FORWARDED)
    names = [f"x-bb-{name}" for name in ("org-id", "user-id", "plan", "role")]
    assert [answer.headers[name] for name in names] == [""] * 4


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/envoy/deny", {}, 429),
        ("/forward-auth", {**FORWARDED, "x-forwarded-uri": "/deny"}, 429),
        (
            "/forward-auth?for=nginx",
            {"x-original-method": "GET", "x-original-uri": "/deny"},
            403,
        ),
    ],
)
async def test_a_refusal_is_what_the_program_passes_on(
    target: str, headers: dict[str, str], status: int
) -> None:
    """Nginx knows 401 and 403 alone; the true status is in a field."""
    async with asking(RefusingEngine()) as (client, doors):
        answer = await client.get(target, headers=headers)
    assert answer.status_code == status
    assert answer.json()["reason"] == "over_quota"
    assert answer.headers.get("x-quota-status") == ("429" if status == 403 else None)
    assert answer.headers.get("x-quota-problem") == (answer.text if status == 403 else None)
    assert doors.observer.of("finished") == [("over_quota", 429)]


async def test_what_is_no_question_is_refused() -> None:
    """No decision is made about a call that is not named."""
    engine = AllowingEngine()
    async with asking(engine) as (client, _):
        statuses = [(await client.get(path)).status_code for path in ("/", "/forward-auth")]
    assert (statuses, engine.calls) == ([404, 400], [])


async def test_envoy_may_send_the_body_too() -> None:
    """For an amount that is in it."""
    engine = ReadingEngine()
    async with asking(engine) as (client, _):
        await client.post("/envoy/chat", content=b'{"n": 3}')
        await client.get("/forward-auth", headers=FORWARDED)
    assert engine.read == [b'{"n": 3}', b""]


async def test_a_program_that_left_before_the_answer_is_not_charged() -> None:
    """Its call went nowhere."""
    engine = HeldEngine()
    async with asking(engine) as (client, _):
        task = asyncio.ensure_future(client.get("/forward-auth", headers=FORWARDED))
        await engine.asked.wait()
        task.cancel()
        await asyncio.wait((task,))
        await eventually(lambda: engine.abandoned == 1)
    assert engine.executions == []


async def test_a_problem_in_a_field_is_printable() -> None:
    """What is not ASCII is escaped as JSON does it, and means the same."""
    nginx = {"x-original-method": "GET", "x-original-uri": "/deny"}
    async with asking(ForeignEngine()) as (client, _):
        answer = await client.get("/forward-auth?for=nginx", headers=nginx)
    written = answer.headers["x-quota-problem"]
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written) == answer.json()
    assert answer.json()["detail"] == "zu viel für \U0001f600\x7f"


async def test_a_connection_that_there_is_no_room_for_is_told_so() -> None:
    """As at the proxy: 503 and `overloaded`, which says to come again."""
    async with asking(AllowingEngine(), max_connections=1) as (client, _):
        await client.get("/forward-auth", headers=FORWARDED)
        async with httpx.AsyncClient(base_url=client.base_url) as another:
            answer = await another.get("/forward-auth", headers=FORWARDED)
    assert (answer.status_code, answer.json()["reason"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
