"""The door of ASGI applications: HTTP and websocket calls, and the lifespan that it lives by.

Source: the ASGI specification 3.0 (HTTP and websocket 2.5, lifespan 2.0).
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.model import AttemptEnd, Call
from sidecar.frontends.asgi_answer import AsgiAnswer
from sidecar.frontends.asgi_call import calls_of
from sidecar.frontends.asgi_lifespan import serve_lifespan
from sidecar.frontends.asgi_types import AsgiApp, AsgiReceive, AsgiScope, AsgiSend
from sidecar.frontends.bodies import (
    ClientLeftError,
    HeldBody,
    body_of,
    replaced_by_asking,
)
from sidecar.frontends.door import ID_FIELD, Door, Visit
from sidecar.frontends.fields import field_of, without_ours
from sidecar.frontends.handle import QuotaHandle
from sidecar.frontends.opening import DoorSource
from sidecar.frontends.paths import strictest
from sidecar.settings.embedded import HostedSettings
from sidecar.usage.settled_answer import SettledAnswer

_DENIAL: Final = "websocket.http.response"
_POLICY_VIOLATION: Final = 1008
_FORBIDDEN: Final = 403
_UNSEEN: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
"""Extensions by which an answer would pass us by."""


class AsgiGuard:
    """An ASGI application with a door before it."""

    def __init__(
        self, app: AsgiApp, doors: DoorSource, deadlines: HostedSettings, *, trust_request_ids: bool
    ) -> None:
        """Guard `app`; `trust_request_ids`: a proxy before it sets X-Request-ID on every call."""
        self._app = app
        self._doors = doors
        self._deadlines = deadlines
        self._trusted = trust_request_ids

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer one connection scope. Raises ValueError for a type that cannot be decided on."""
        match scope["type"]:
            case "http" | "websocket":
                await self._guard(scope, receive, send)
            case "lifespan":
                await serve_lifespan(self._app, self._doors, scope, receive, send)
            case other:
                raise ValueError(f"QuotaMiddleware: the scope type {other!r} cannot be metered")

    async def _guard(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        door = await self._doors.door()
        call = self._call(door, scope)
        body = self._body(door, call, receive, websocket=scope["type"] == "websocket")
        try:
            visit = await door.enter(call, body)
        except ClientLeftError:
            return
        if visit.answer is not None:
            body.let_go()
            await _refuse(visit, scope, send)
            return
        try:
            if visit.settled is not None and scope["type"] == "http":
                _make_readable(visit.settled, call, body, scope)
            scope.setdefault("state", {})["quota"] = QuotaHandle(visit)
        except BaseException:
            body.let_go()
            visit.end(0, AttemptEnd.UNREACHED)
            raise
        answer = AsgiAnswer(visit, body, receive, send)
        visit.begin()
        try:
            await self._app(scope, answer.receive, answer.send)
        except Exception:
            answer.failed()
            raise
        except BaseException:
            answer.cut_off()
            raise
        finally:
            body.let_go()
        answer.failed()

    def _call(self, door: Door, scope: AsgiScope) -> Call:
        """Describe the call, and clean the scope's headers of what only we may set."""
        headers = without_ours(scope["headers"])
        request_id, origin = door.request_id(field_of(headers, ID_FIELD), trusted=self._trusted)
        call = strictest(door.policy(), calls_of(scope, headers, request_id, origin))
        scope["headers"] = [
            *(field for field in headers if field[0] != b"x-request-id"),
            (b"x-request-id", request_id.encode("ascii")),
        ]
        return call

    def _body(self, door: Door, call: Call, receive: AsgiReceive, *, websocket: bool) -> HeldBody:
        async def pull() -> tuple[bytes, bool]:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientLeftError("the client left before its body was whole")
            return message.get("body") or b"", bool(message.get("more_body", False))

        return body_of(pull, door.memory, call.headers, self._deadlines, whole=websocket)


def _make_readable(settled: SettledAnswer, call: Call, body: HeldBody, scope: AsgiScope) -> None:
    """Ask the application for an answer that can be read, and maybe for its usage."""
    scope["headers"] = replaced_by_asking(settled, call.path, scope["headers"], body)
    offered = scope.get("extensions") or {}
    if not _UNSEEN.isdisjoint(offered):
        scope["extensions"] = {name: of for name, of in offered.items() if name not in _UNSEEN}


async def _refuse(visit: Visit, scope: AsgiScope, send: AsgiSend) -> None:
    """Answer in place of the application; some servers can refuse a websocket with 403 alone."""
    answer = visit.answer
    if answer is None:
        raise ValueError("there is nothing to refuse with")
    kind, status = "http.response", answer.status
    if scope["type"] == "websocket":
        kind = _DENIAL
        if _DENIAL not in (scope.get("extensions") or {}):
            await _close(visit, send)
            return
    length = b"%d" % len(answer.body)
    fields = [(name.lower(), value) for name, value in answer.headers]
    try:
        await send(
            {
                "type": f"{kind}.start",
                "status": status,
                "headers": [*fields, (b"content-length", length)],
            }
        )
        content = b"" if scope.get("method") == "HEAD" else answer.body
        await send({"type": f"{kind}.body", "body": content, "more_body": False})
    finally:
        visit.end(status)


async def _close(visit: Visit, send: AsgiSend) -> None:
    try:
        await send(
            {
                "type": "websocket.close",
                "code": _POLICY_VIOLATION,
                "reason": visit.decision.reason.value,
            }
        )
    finally:
        visit.end(_FORBIDDEN)
