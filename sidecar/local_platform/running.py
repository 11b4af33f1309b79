"""The parts of a running local platform, joined: the only place that knows them all."""

from __future__ import annotations

import errno
import re
import sqlite3
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.domain.errors import UserError
from sidecar.domain.ports import Clock
from sidecar.local_platform import choices
from sidecar.local_platform.access import (
    EVERYONE,
    FROM_THIS_MACHINE,
    by_api_key,
    by_internal_key,
)
from sidecar.local_platform.auth_host import AuthHost
from sidecar.local_platform.control_wire import OrgBody, OrgReply
from sidecar.local_platform.courier import Courier
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.dispatch import errors_as_bodies, handler_of
from sidecar.local_platform.endpoint import Endpoint
from sidecar.local_platform.faults import FaultBox
from sidecar.local_platform.openapi import openapi
from sidecar.local_platform.org_changes import OrgChanges
from sidecar.local_platform.page import page_handler
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.records import Records
from sidecar.local_platform.rejection import Rejection, bad_field
from sidecar.local_platform.request_log import RequestLog
from sidecar.local_platform.seeds import Seed, default_seed
from sidecar.local_platform.signing import SigningKeys
from sidecar.local_platform.store import Store
from sidecar.local_platform.webhook_book import WebhookBook
from sidecar.local_platform.webhook_wire import SchemaReply
from sidecar.local_platform.wire import IN_WORDS, ORG_ID, HealthReply

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
        self.auth = AuthHost(self.directory, self.book, self.keys, clock, issuer)
        self.webhooks = WebhookBook(store, self.directory, clock)
        self.courier = Courier(self.webhooks)
        self.changes = OrgChanges(store, self.directory, self.webhooks.announce)
        self._requests = RequestLog(store, clock)
        self._runner: web.AppRunner | None = None
        self._endpoints = [*self._public(), *self._control()]

    def _public(self) -> list[Endpoint]:
        """Return the endpoints of the contract."""
        product = by_internal_key(self.directory)
        reader = by_api_key(self.directory, self.keys, write=False)
        writer = by_api_key(self.directory, self.keys, write=True)
        book, webhooks, auth = self.book, self.webhooks, self.auth
        records = Records(self.store, self.directory, self._clock)
        not_counted = (choices.NOT_ENTITLED, choices.UNKNOWN_ORG, choices.CONFLICTING_KEY)
        no_store = (choices.STORE_DOWN_ELSEWHERE,)
        created, accepted = HTTPStatus.CREATED, HTTPStatus.ACCEPTED
        not_tested = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
        not_ready = (HTTPStatus.SERVICE_UNAVAILABLE,)
        return [
            Endpoint("POST /v1/quota/consume", book.consume, product, rejects=not_counted),
            Endpoint("GET /v1/quota/status", book.status, reader, rejects=no_store),
            Endpoint("GET /v1/quota/breakdown", book.breakdown, reader, rejects=no_store),
            Endpoint("POST /v1/workspace-records", records.publish, writer, status=created),
            Endpoint("GET /v1/workspace-records", records.page, reader),
            Endpoint("GET /v1/catalog", records.catalog, reader),
            Endpoint("GET /v1/org/retrieve", records.search, reader),
            Endpoint("POST /v1/webhooks", webhooks.register, product, status=created),
            Endpoint(
                "POST /v1/webhooks/{id}/test",
                webhooks.test,
                product,
                status=accepted,
                rejects=not_tested,
            ),
            Endpoint("GET /v1/dev/api-requests", self._requests.recent, reader),
            Endpoint("GET /v1/dev/webhook-deliveries", webhooks.recent, reader),
            Endpoint("GET /.well-known/jwks.json", auth.key_set, EVERYONE),
            Endpoint("GET /api/v1/internal/verify-app-token", auth.verify, product),
            Endpoint("GET /health", self._health, EVERYONE),
            Endpoint("GET /ready", self._ready, EVERYONE, rejects=not_ready),
            Endpoint("GET /openapi.json", self._schema, EVERYONE),
        ]

    def _control(self) -> list[Endpoint]:
        """Return what only a local platform has (interface); it is no part of the schema."""
        auth, faults, local = self.auth, self.faults, FROM_THIS_MACHINE
        return [
            Endpoint("POST /_control/token", auth.mint, local),
            Endpoint("POST /_control/rotate-keys", auth.rotate, local, body_may_be_empty=True),
            Endpoint("GET /_control/faults", faults.show, local),
            Endpoint("PUT /_control/faults", faults.set, local),
            Endpoint("DELETE /_control/faults", faults.clear, local),
            Endpoint("PUT /_control/orgs/{id}", self._put_org, local),
            Endpoint("GET /_control/consumes", self.book.consumes, local),
        ]

    def _health(self) -> HealthReply:
        """The process is up."""
        return HealthReply()

    def _ready(self) -> HealthReply:
        """The store can be read."""
        try:
            self.store.number("SELECT count(*) FROM notes")
        except sqlite3.Error as error:
            raise Rejection(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the store cannot be read: {error}"
            ) from error
        return HealthReply()

    def _schema(self) -> SchemaReply:
        """This schema."""
        return SchemaReply(openapi(self._endpoints))

    def _put_org(self, id: str, body: OrgBody) -> OrgReply:  # noqa: A002 - as in the path
        """Make or change an org."""
        if not re.match(ORG_ID, id):
            raise bad_field("path", "id", IN_WORDS[ORG_ID])
        org = self.changes.put(id, body)
        return OrgReply(
            org_id=org.id,
            name=org.name,
            plan=org.plan,
            apps=list(org.apps),
            quotas=self.book.quotas(org.id),
        )

    def apply_seed(self, given: Seed | None) -> None:
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
