"""Opens the door of a middleware on the event loop that serves, and closes it there."""

from __future__ import annotations

import asyncio
import contextvars
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry

from sidecar.app.embedded import EmbeddedParts, open_embedded
from sidecar.domain.errors import UserError
from sidecar.frontends.door import Door
from sidecar.policy.doors import DoorKind
from sidecar.settings.embedded import EmbeddedSettings
from sidecar.telemetry.registry import add_to


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open door, and the task that closes it when it is cancelled."""

    door: Door
    keeper: asyncio.Task[None]


class Doors:
    """The doors of one middleware: one for each event loop that serves it, which is one in all.

    A test client may run each call on a loop of its own.
    """

    def __init__(
        self,
        kind: DoorKind,
        keywords: Mapping[str, object],
        registry: CollectorRegistry | None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Read the settings, and open nothing yet. Raises UserError."""
        self.settings = EmbeddedSettings.from_keywords(keywords, environ)
        self._kind = kind
        self._environ = environ
        self._registry = REGISTRY if registry is None else registry
        self._openings: dict[asyncio.AbstractEventLoop, asyncio.Task[_Opened]] = {}

    async def start(self) -> None:
        """Open the door of this loop, also where it was closed before. Raises UserError."""
        loop = _running_loop()
        found = self._openings.get(loop)
        if found is not None and found.done() and found.result().door.drain.draining:
            del self._openings[loop]
        await self.door()

    async def door(self) -> Door:
        """Return the door of this loop, opened by the first of several calls."""
        loop = _running_loop()
        opening = self._openings.get(loop)
        if opening is None:
            for ended in [each for each in self._openings if each.is_closed()]:
                del self._openings[ended]
            # In a context of its own: what it starts outlives the call that was first.
            opening = loop.create_task(self._open(), context=contextvars.Context())
            self._openings[loop] = opening
            opening.add_done_callback(self._forget_a_failure)
        if not opening.done():
            await asyncio.wait((opening,))
        return opening.result().door

    async def aclose(self) -> None:
        """Refuse new calls, wait for those under way, and end every part."""
        opening = self._openings.get(_running_loop())
        if opening is None:
            return
        keeper = (await opening).keeper
        keeper.cancel()
        await asyncio.wait((keeper,))

    def _forget_a_failure(self, opening: asyncio.Task[_Opened]) -> None:
        """Let the next call try again."""
        if opening.cancelled() or opening.exception() is not None:
            self._openings.pop(opening.get_loop(), None)

    async def _open(self) -> _Opened:
        parts = await open_embedded(self._kind, self.settings, self._environ)
        door = Door(
            engine=parts.engine,
            policy=lambda: parts.policies.current,
            clock=parts.clock,
            observer=parts.observer,
            memory=parts.memory,
            nonce=secrets.token_hex(6),
        )
        parts.observer.read_at_scrape("inflight_requests", lambda: door.drain.inflight)
        try:
            hide_metrics = add_to(self._registry, parts.observer.parts)
        except BaseException:
            await parts.owned.aclose()
            raise
        keeping = self._keep(door, parts, hide_metrics)
        return _Opened(door, asyncio.get_running_loop().create_task(keeping))

    async def _keep(
        self, door: Door, parts: EmbeddedParts, hide_metrics: Callable[[], None]
    ) -> None:
        """Wait to be cancelled, and close the door: a loop that ends cancels its tasks."""
        try:
            await asyncio.Event().wait()
        finally:
            door.drain.begin()
            await door.drain.wait(self.settings.hosted.drain_seconds)
            hide_metrics()
            await parts.owned.aclose()


def loop_runs() -> bool:
    """Say whether this is called under a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise UserError(
            "QuotaMiddleware runs on asyncio alone: give the server an asyncio or uvloop worker"
        ) from error
