"""Middleware for a product's own application: `from sidecar.middleware import QuotaMiddleware`."""

from __future__ import annotations

from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from sidecar.domain.errors import UserError
from sidecar.frontends.asgi import AsgiGuard
from sidecar.frontends.asgi_lifespan import refuse_to_start
from sidecar.frontends.asgi_types import AsgiApp, AsgiReceive, AsgiScope, AsgiSend
from sidecar.frontends.door import SettleError
from sidecar.middleware.doors import Doors, loop_runs
from sidecar.policy.doors import DoorKind

__all__ = ["QuotaMiddleware", "SettleError"]


class QuotaMiddleware:
    """Meters an ASGI application: `app.add_middleware(QuotaMiddleware, policy="policy.yaml")`.

    Where a framework has no such call, wrap the application: `app = QuotaMiddleware(app, ...)`.
    """

    def __init__(
        self,
        app: AsgiApp,
        /,  # `settings` could be named `app` too: mypy would refuse add_middleware(QuotaMiddleware)
        *,
        registry: CollectorRegistry | None = None,
        trust_request_ids: bool = False,
        **settings: Any,  # noqa: ANN401 - the settings of `run` by name; anything that can be written
    ) -> None:
        """Take the settings of `run` as keywords; what is not given comes from its variable.

        `registry` gets the metrics; prometheus_client's default one where none is given.
        `trust_request_ids`: a proxy before this process sets X-Request-ID on every call. Raises
        UserError with every problem of the settings; under a running event loop the start fails
        with it instead. Starlette makes its middleware when the server asks it to start, and
        uvicorn takes an exception there for an application without a lifespan, and serves it.
        """
        self._doors: Doors | None = None
        try:
            doors = Doors(DoorKind.ASGI, settings, registry)
        except UserError as error:
            if not loop_runs():
                raise
            self._guard: AsgiApp = partial(refuse_to_start, error)
            return
        self._doors = doors
        hosted = doors.settings.hosted
        self._guard = AsgiGuard(app, doors, hosted, trust_request_ids=trust_request_ids)

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer one connection scope."""
        await self._guard(scope, receive, send)

    async def aclose(self) -> None:
        """Close the door of this event loop, where no lifespan does: later calls are refused."""
        if self._doors is not None:
            await self._doors.aclose()
