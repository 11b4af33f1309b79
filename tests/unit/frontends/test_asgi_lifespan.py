"""A door lives as long as its application, also where that has no lifespan."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.errors import UserError
from sidecar.frontends.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from tests.fakes.doors import OneDoor, PlayedServer, play
from tests.fakes.engines import AllowingEngine

UP, DOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


async def span(app: Any, doors: OneDoor) -> list[str]:
    """Start and stop an application; return what the server was sent."""
    server = PlayedServer(UP, DOWN)
    scope = {"type": "lifespan"}
    try:
        await play(app, AllowingEngine(), server, scope, doors=doors)
    finally:
        sent = [message["type"].removeprefix("lifespan.") for message in server.sent]
    return sent


async def lives(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    """Live as the specification has it."""
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def knows_none(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    """Refuse the scope, as Django does."""
    raise ValueError(f"no {scope['type']} here")


async def returns(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    """Leave the scope alone."""


async def breaks(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    """Fail to start."""
    await receive()
    raise RuntimeError("no database")


async def says_no(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    """Fail to start, and say so."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


@pytest.mark.parametrize("app", [lives, knows_none, returns])
async def test_a_door_opens_and_closes_with_its_application(app: Any) -> None:
    """The server sees one lifespan, ours or the application's."""
    doors = OneDoor(AllowingEngine())
    assert await span(app, doors) == ["startup.complete", "shutdown.complete"]
    assert (doors.opened, doors.closed) == (1, 1)


async def test_a_door_that_cannot_open_stops_the_server() -> None:
    """It is not left to the first call, and the reason is the server's to print."""
    doors = OneDoor(AllowingEngine())
    doors.problem = UserError("policy.yaml:1: no version")
    assert await span(lives, doors) == ["startup.failed"]


async def test_an_application_that_fails_to_start_closes_the_door() -> None:
    """Whether it says so or raises."""
    doors = OneDoor(AllowingEngine())
    with pytest.raises(RuntimeError, match="no database"):
        await span(breaks, doors)
    assert await span(says_no, doors) == ["startup.failed"]
    assert (doors.opened, doors.closed) == (2, 2)
