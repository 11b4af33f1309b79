"""`/health` and `/ready` (contract, What a container on the platform must do)."""

from __future__ import annotations

import sqlite3
from http import HTTPStatus

from sidecar.local_platform.access import Everyone
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import HealthReply, NoBody, NoQuery


class HealthRoutes:
    """Up, and able to answer from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints, for serving and for the schema."""
        return [
            Endpoint("GET /health", self._health, Everyone()),
            Endpoint(
                "GET /ready", self._ready, Everyone(), rejects=(HTTPStatus.SERVICE_UNAVAILABLE,)
            ),
        ]

    async def _health(self, _asked: Asked[None, NoBody, NoQuery]) -> HealthReply:
        """The process is up."""
        return HealthReply()

    async def _ready(self, _asked: Asked[None, NoBody, NoQuery]) -> HealthReply:
        """The store can be read."""
        try:
            self._store.number("SELECT count(*) FROM notes")
        except sqlite3.Error as error:
            raise Rejection(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the store cannot be read: {error}"
            ) from error
        return HealthReply()
