"""The lifespan of an ASGI application, and the door that lives as long.

The door opens before the application starts, and closes after it has shut down. An application
without a lifespan (Django) gets one from here, so that the server still opens and closes the door.
"""

from __future__ import annotations

import logging
from typing import Final

from sidecar.domain.errors import UserError
from sidecar.frontends.asgi_types import AsgiApp, AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from sidecar.frontends.opening import DoorSource

_log = logging.getLogger("sidecar.frontends")

_STARTED: Final = frozenset({"lifespan.startup.complete", "lifespan.startup.failed"})
_ENDING: Final = frozenset(
    {"lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"}
)


async def serve_lifespan(
    app: AsgiApp,
    doors: DoorSource,
    scope: AsgiScope,
    receive: AsgiReceive,
    send: AsgiSend,
) -> None:
    """Open the door, serve the application's lifespan, and close the door."""
    await receive()  # lifespan.startup
    try:
        await doors.start()
    except UserError as error:
        await _fail_startup(error, send)
        return
    span = _Span(doors, receive, send)
    try:
        await app(scope, span.receive, span.send)
    except Exception:
        if span.asked:  # else it knows no lifespan, which is no fault
            await doors.aclose()
            raise
    if not span.started:
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        await doors.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def refuse_to_start(
    error: UserError, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend
) -> None:
    """Answer any scope of a middleware whose settings are wrong: a server then ends its start."""
    if scope["type"] != "lifespan":
        raise error
    await receive()  # lifespan.startup
    await _fail_startup(error, send)


async def _fail_startup(error: UserError, send: AsgiSend) -> None:
    _log.error("middleware_not_started", extra={"why": str(error)})
    await send({"type": "lifespan.startup.failed", "message": str(error)})


class _Span:
    """What an application receives and sends of its lifespan."""

    def __init__(
        self,
        doors: DoorSource,
        receive: AsgiReceive,
        send: AsgiSend,
    ) -> None:
        self._doors = doors
        self._receive = receive
        self._send = send
        self.asked = False
        self.started = False

    async def receive(self) -> AsgiMessage:
        """Give the start, which was taken already, and then what comes."""
        if not self.asked:
            self.asked = True
            return {"type": "lifespan.startup"}
        return await self._receive()

    async def send(self, event: AsgiMessage) -> None:
        """Pass on what the application says; at its end the door is closed first."""
        if event["type"] in _STARTED:
            self.started = True
        if event["type"] in _ENDING:
            await self._doors.aclose()
        await self._send(event)
