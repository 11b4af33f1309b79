"""Middleware for aiohttp: `from sidecar.middleware.aiohttp import setup`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from sidecar.frontends.aiohttp import AiohttpGuard
from sidecar.middleware.doors import Doors
from sidecar.policy.doors import DoorKind

__all__ = ["setup"]


def setup(
    app: web.Application,
    *,
    registry: CollectorRegistry | None = None,
    trust_request_ids: bool = False,
    **settings: Any,  # noqa: ANN401 - the settings of `run` by name; anything that can be written
) -> None:
    """Meter an application and its sub-applications: `setup(app, policy="policy.yaml")`.

    It takes what `QuotaMiddleware` takes. Middlewares that are added before stand outside of it.
    Raises UserError with every problem of the settings.
    """
    doors = Doors(DoorKind.AIOHTTP, settings, registry)
    guard = AiohttpGuard(doors, doors.settings.hosted, trust_request_ids=trust_request_ids)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        await doors.start()
        yield
        await doors.aclose()

    app.middlewares.append(guard.middleware)
    app.on_response_prepare.append(guard.mark)
    app.cleanup_ctx.append(lifetime)
