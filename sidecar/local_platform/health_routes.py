"""`/health` and `/ready` (contract, What a container on the platform must do)."""

from __future__ import annotations

import sqlite3
from http import HTTPStatus

from sidecar.local_platform.access import EVERYONE
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import HealthReply, NoBody, NoQuery


def health_endpoints(store: Store) -> list[AnyEndpoint]:
    """Return whether it is up, and able to answer from the store."""

    async def health(_asked: Asked[None, NoBody, NoQuery]) -> HealthReply:
        """The process is up."""
        return HealthReply()

    async def ready(_asked: Asked[None, NoBody, NoQuery]) -> HealthReply:
        """The store can be read."""
        try:
            store.number("SELECT count(*) FROM notes")
        except sqlite3.Error as error:
            raise Rejection(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the store cannot be read: {error}"
            ) from error
        return HealthReply()

    return [
        Endpoint("GET /health", health, EVERYONE),
        Endpoint("GET /ready", ready, EVERYONE, rejects=(HTTPStatus.SERVICE_UNAVAILABLE,)),
    ]
