"""The parts of a running local platform, joined: the only place that knows them all."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from sidecar.domain.errors import UserError
from sidecar.domain.ports import Clock
from sidecar.local_platform.access import by_api_key, by_internal_key
from sidecar.local_platform.auth_routes import auth_endpoints
from sidecar.local_platform.control_routes import control_endpoints
from sidecar.local_platform.courier import Courier
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.dispatch import errors_as_bodies, handler_of
from sidecar.local_platform.endpoint import AnyEndpoint
from sidecar.local_platform.faults import FaultBox
from sidecar.local_platform.health_routes import health_endpoints
from sidecar.local_platform.minting import Mint
from sidecar.local_platform.openapi import schema_endpoint
from sidecar.local_platform.org_changes import OrgChanges, OrgEvent
from sidecar.local_platform.page_route import page_handler
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.quota_routes import quota_endpoints
from sidecar.local_platform.record_routes import record_endpoints
from sidecar.local_platform.records import Records
from sidecar.local_platform.request_log import RequestLog
from sidecar.local_platform.seeds import Seed, default_seed
from sidecar.local_platform.signing import SigningKeys
from sidecar.local_platform.store import Store
from sidecar.local_platform.webhook_book import WebhookBook
from sidecar.local_platform.webhook_routes import webhook_endpoints

MAX_BODY: Final = 1 << 20
"""Bytes of a request body that are read; a longer one gets 413."""

MAX_LINE: Final = 1 << 17
"""Bytes of a request line: a token in a query, every character of it percent-encoded, fits."""

_SEED_NOTE: Final = "seed"


class Running:
    """The parts of a platform between start and close."""

    def __init__(self, store: Store, clock: Clock, issuer: str | None) -> None:
        self.store = store
        self._clock = clock
        self.url = ""
        self.seed: Seed | None = None
        self.faults = FaultBox()
        self.directory = Directory(store, clock)
        self.book = QuotaBook(store, self.directory, clock)
        self.keys = SigningKeys(store, clock)
        self.mint = Mint(self.directory, self.book, self.keys, clock)
        self.webhooks = WebhookBook(store, self.directory, clock)
        self.courier = Courier(self.webhooks)
        self.changes = OrgChanges(store, self.directory, self._announce)
        self._requests = RequestLog(store, clock)
        self._runner: web.AppRunner | None = None
        self._endpoints = self._made_endpoints(issuer)

    def _announce(self, events: Sequence[OrgEvent]) -> None:
        self.webhooks.announce(events)
        self.courier.wake()

    def _made_endpoints(self, issuer: str | None) -> list[AnyEndpoint]:
        product = by_internal_key(self.directory)
        reader = by_api_key(self.directory, self.keys, write=False)
        writer = by_api_key(self.directory, self.keys, write=True)
        records = Records(self.store, self.directory, self._clock)
        wake = self.courier.wake
        endpoints = [
            *quota_endpoints(self.book, product, reader),
            *record_endpoints(records, self.directory, reader, writer),
            *webhook_endpoints(self.webhooks, self._requests, product, reader, wake),
            *auth_endpoints(self.keys, self.directory, product),
            *health_endpoints(self.store),
            *control_endpoints(
                self.book, self.changes, self.faults, self.keys, self.mint, issuer=issuer
            ),
        ]
        return [*endpoints, schema_endpoint(endpoints)]

    def sow(self, given: Seed | None) -> None:
        """Lay the seed over the database, unless exactly this one was laid over it before."""
        laid = self.store.note(_SEED_NOTE)
        seed = given if given is not None or laid is not None else default_seed()
        self.seed = seed
        if seed is None or seed.fingerprint == laid:
            return
        with self.store.transaction():
            self.directory.apply(seed)
            self.store.set_note(_SEED_NOTE, seed.fingerprint)

    async def listen(self, host: str, port: int, close_deadline: float) -> None:
        """Serve on `host:port`. Raises UserError when the address cannot be had."""
        app = web.Application(middlewares=[errors_as_bodies], client_max_size=MAX_BODY)
        for endpoint in self._endpoints:
            app.router.add_route(
                endpoint.method, endpoint.path, handler_of(endpoint, self.faults, self._requests)
            )
        page = page_handler(self.directory, self.book, self.webhooks, self.faults, self._clock)
        app.router.add_route("GET", "/", page)
        # A caller that goes away takes its request with it, also one that a fault holds up.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=close_deadline,
            max_line_size=MAX_LINE,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            reason = f"cannot be listened on ({error.strerror or error}): give another address"
            if error.errno == errno.EADDRINUSE:
                reason = "is in use: give a free port, or stop what listens there"
            raise UserError(f"--listen: {host}:{port} {reason}") from error
        bound_host, bound_port, *_ = self._runner.addresses[0]
        name = f"[{bound_host}]" if ":" in bound_host else bound_host
        self.url = f"http://{name}:{bound_port}"
        self.courier.start()

    async def close(self) -> None:
        """End what hangs, then deliveries, the server and the store."""
        self.faults.clear()
        await self.courier.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.store.close()
