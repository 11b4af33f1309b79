"""A door before scripted engines, and an ASGI server that a test plays by hand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from sidecar.frontends.asgi import AsgiGuard
from sidecar.frontends.asgi_types import AsgiApp
from sidecar.frontends.door import Door
from sidecar.policy.compiled import Policy
from sidecar.policy.load import load_policy
from sidecar.proxy.body_memory import BodyMemory
from sidecar.settings.embedded import HostedSettings
from sidecar.telemetry import foreign_log
from tests.fakes.engines import AllowingEngine, RememberingRequests

POLICY = b"""
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
defaults: {resource: ai_calls}
routes:
  - name: chat
    match: {path: /chat}
    meter: {}
  - name: admin
    match: {path: /admin}
    action: deny
  - name: free
    match: {path: /free}
    action: allow
unmatched: allow
"""


def policy() -> Policy:
    """Compile the policy of these tests."""
    return load_policy(POLICY, file="policy.yaml", environ={})


def leave_our_log() -> None:
    """Take the filter of a middleware off our loggers: other tests read them unfiltered."""
    for name in list(logging.Logger.manager.loggerDict):
        if name.startswith("sidecar"):
            logging.getLogger(name).removeFilter(foreign_log._FILTER)


class NoBody:
    """The body of a call that has none."""

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        return b""


class OneDoor:
    """A `DoorSource` with one door, which counts what is asked of it."""

    def __init__(self, engine: AllowingEngine, memory: int = 1 << 20) -> None:
        self.observer = RememberingRequests()
        self.opened = 0
        self.closed = 0
        self.problem: Exception | None = None
        found = policy()
        self.one = Door(
            engine=engine,
            policy=lambda: found,
            clock=time,
            observer=self.observer,
            memory=BodyMemory(memory),
            nonce="nonce",
        )

    async def start(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.opened += 1

    async def door(self) -> Door:
        return self.one

    async def aclose(self) -> None:
        self.closed += 1


def patient(idle: float | None = None, whole: float | None = None) -> HostedSettings:
    """Let bodies take their time, or as long as is said."""
    return HostedSettings(body_idle_timeout=idle, request_timeout=whole)


def http_scope(path: str = "/chat", **more: Any) -> dict[str, Any]:
    """Make the scope of a POST."""
    return {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": [],
    } | more  # fmt: skip


class PlayedServer:
    """What an ASGI server would do: gives messages, and keeps those that come."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = list(messages)
        self.sent: list[dict[str, Any]] = []
        self.gone: Exception | None = None

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Any) -> None:
        if self.gone is not None:
            raise self.gone
        self.sent.append(dict(message))

    @property
    def status(self) -> int:
        """The status of the answer."""
        found: int = self.sent[0]["status"]
        return found

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The header fields of the answer."""
        return dict(self.sent[0]["headers"])


def body(*pieces: bytes) -> Sequence[dict[str, Any]]:
    """Make the messages of a request's body."""
    return [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]


async def play(
    app: AsgiApp,
    engine: AllowingEngine,
    server: PlayedServer,
    scope: dict[str, Any] | None = None,
    *,
    doors: OneDoor | None = None,
    deadlines: HostedSettings | None = None,
    trust_request_ids: bool = False,
) -> OneDoor:
    """Answer one scope by a guarded application; what it raises is raised."""
    doors = doors or OneDoor(engine)
    guard = AsgiGuard(app, doors, deadlines or patient(), trust_request_ids=trust_request_ids)
    await guard(http_scope() if scope is None else scope, server.receive, server.send)
    return doors
