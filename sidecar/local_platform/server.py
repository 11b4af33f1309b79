"""The local platform as one object: its parts joined, started on a socket, and closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from aiohttp import web
from pydantic import JsonValue, ValidationError

from sidecar.errors import UserError
from sidecar.local_platform.access import ByApiKey, ByInternalKey
from sidecar.local_platform.auth_routes import AuthRoutes
from sidecar.local_platform.control_routes import ControlRoutes
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.dispatch import errors_as_bodies, handler_of
from sidecar.local_platform.endpoint import AnyEndpoint
from sidecar.local_platform.faults import FaultBox, Faults
from sidecar.local_platform.health_routes import HealthRoutes
from sidecar.local_platform.minting import Mint
from sidecar.local_platform.org_changes import OrgChanges
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.quota_routes import QuotaRoutes
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.seeds import Seed, check_seed, default_seed
from sidecar.local_platform.signing import SigningKeys, make_signing_key
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import CountedConsume, OrgBody, TokenBody
from sidecar.ports import Clock

MAX_BODY: Final = 1 << 20
"""Bytes of a request body that are read; a longer one gets 413."""

_SEED_NOTE: Final = "seed"


class LocalPlatform:
    """The platform in a box: quotas, auth host and control, in SQLite.

    Start it, talk HTTP to `url`, close it; also an async context manager on a free port.
    """

    def __init__(
        self,
        *,
        seed: Seed | None = None,
        db: Path | None = None,
        clock: Clock = time,
        issuer: str | None = None,
        close_deadline: float = 5.0,
    ) -> None:
        """Without `db` all is forgotten on close.

        Without `seed`, an empty database gets `default_seed()`; a seed is laid over a database
        again only when it changed. `issuer` is the `iss` of tokens; None means the URL that the
        caller reached the platform by. On close, running requests get `close_deadline` seconds.
        """
        if seed is not None:
            check_seed(seed)
        self._given_seed = seed
        self._db = db
        self._clock = clock
        self._issuer = issuer
        self._close_deadline = close_deadline
        self._running: _Running | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the database and listen; port 0 takes a free one.

        Raises UserError for a database or an address that cannot be had.
        """
        if self._running is not None:
            raise RuntimeError(f"the local platform already listens at {self.url}")
        running = _Running(Store(self._db), self._clock, self._issuer)
        try:
            running.sow(self._given_seed)
            if running.keys.is_empty:
                running.keys.rotate(await asyncio.to_thread(make_signing_key), withdraw=False)
            await running.listen(host, port, self._close_deadline)
        except BaseException:
            await running.close()
            raise
        self._running = running

    async def close(self) -> None:
        """Stop listening, let running requests end, and close the database; twice is once."""
        running, self._running = self._running, None
        if running is not None:
            await running.close()

    async def __aenter__(self) -> LocalPlatform:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """The base URL, without a final slash; the API's and the auth host's alike."""
        return self._up.url

    @property
    def seed(self) -> Seed | None:
        """The seed in force with its keys; None where an older database was opened without one."""
        return self._up.seed

    def mint_token(
        self,
        org_id: str,
        *,
        user_id: str | None = None,
        role: str | None = None,
        ttl: int | None = None,
        claims: Mapping[str, JsonValue] | None = None,
    ) -> str:
        """Return a `bb_at`, as `POST /_control/token` does; `ttl` in seconds.

        Raises UserError for an unknown org or a value that does not fit.
        """
        try:
            body = TokenBody(org_id=org_id, user_id=user_id, role=role, ttl=ttl, claims=claims)
            return self._up.mint.mint(body, self._issuer or self.url)
        except ValidationError as error:
            problem = error.errors()[0]
            raise UserError(f"token: {problem['loc'][0]}: {problem['msg']}") from error
        except Rejection as rejection:
            raise UserError(f"token: {rejection.detail}") from rejection

    def set_faults(self, faults: Faults) -> None:
        """Do as `PUT /_control/faults`."""
        self._up.faults.set(faults)

    def clear_faults(self) -> None:
        """Do as `DELETE /_control/faults`."""
        self._up.faults.clear()

    def put_org(self, org_id: str, change: OrgBody) -> None:
        """Do as `PUT /_control/orgs/{id}`. Raises Rejection for an unknown product."""
        self._up.changes.put(org_id, change)

    def consumes(self, org_id: str | None = None) -> Sequence[CountedConsume]:
        """Return what was counted, oldest first, as `GET /_control/consumes`."""
        return self._up.book.counted(org_id)

    @property
    def _up(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the local platform is not running: await start() first")
        return self._running


class _Running:
    """The parts of a platform between start and close."""

    def __init__(self, store: Store, clock: Clock, issuer: str | None) -> None:
        self.store = store
        self.url = ""
        self.seed: Seed | None = None
        self.faults = FaultBox()
        self.directory = Directory(store, clock)
        self.book = QuotaBook(store, self.directory, clock)
        self.keys = SigningKeys(store, clock)
        self.mint = Mint(self.directory, self.book, self.keys, clock)
        self.changes = OrgChanges(store, self.directory, lambda _events: None)
        self._runner: web.AppRunner | None = None
        self._endpoints = self._made_endpoints(issuer)

    def _made_endpoints(self, issuer: str | None) -> list[AnyEndpoint]:
        product = ByInternalKey(self.directory)
        reader = ByApiKey(self.directory, self.keys, write=False)
        control = ControlRoutes(
            book=self.book,
            changes=self.changes,
            faults=self.faults,
            keys=self.keys,
            mint=self.mint,
            issuer=issuer,
        )
        return [
            *QuotaRoutes(self.book, product, reader).endpoints(),
            *AuthRoutes(self.keys, self.directory, product).endpoints(),
            *HealthRoutes(self.store).endpoints(),
            *control.endpoints(),
        ]

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
            app.router.add_route(endpoint.method, endpoint.path, handler_of(endpoint, self.faults))
        # A caller that goes away takes its request with it, also one that a fault holds up.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=close_deadline,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise UserError(
                f"listen {host}:{port}: {error.strerror or error}; choose another address"
            ) from error
        bound_host, bound_port, *_ = self._runner.addresses[0]
        name = f"[{bound_host}]" if ":" in bound_host else bound_host
        self.url = f"http://{name}:{bound_port}"

    async def close(self) -> None:
        """End what hangs, then the server, then the store."""
        self.faults.clear()
        if self._runner is not None:
            await self._runner.cleanup()
        self.store.close()
