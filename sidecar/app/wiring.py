"""One sidecar: the engine behind its proxy, with its admin port.

What is started here is owned here and ended in the reverse order, each step with a deadline.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from sidecar import __version__
from sidecar.admin.server import AdminServer
from sidecar.admission.engine import Engine
from sidecar.app.background import own_task
from sidecar.app.context import Context
from sidecar.app.draining import log_draining
from sidecar.app.engine import open_engine
from sidecar.app.memory_limit import body_memory
from sidecar.app.open_files import room_for
from sidecar.app.status import Status
from sidecar.domain.errors import UserError
from sidecar.domain.ports import Clock
from sidecar.domain.share import ALONE, Share
from sidecar.http1.listening import refusal
from sidecar.http1.pool import Pool, PoolLimits
from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError
from sidecar.policy.store import PolicyStore
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.gateway import PROBES, Gateway
from sidecar.proxy.server import Plane, Server
from sidecar.settings.run import Settings
from sidecar.settings.sections import Limits
from sidecar.settings.values import Address
from sidecar.telemetry.build import build_labels
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.observer import Observer
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.snapshot import Snapshot

log = logging.getLogger("sidecar.app")

_UPSTREAM_IDLE_SECONDS: Final = 4.0


class OtherPlane(Protocol):
    """What an app serves in place of the proxy."""

    def open(
        self, engine: Engine, policies: PolicyStore, context: Context, memory: BodyMemory
    ) -> Plane:
        """Make it."""

    def check(self, policy: Policy, file: str) -> None:
        """Refuse a policy that it cannot keep. Raises PolicyError."""

    async def listen(self) -> None:
        """Listen on the ports that it has beside the data plane's. Raises UserError."""


class App:
    """One sidecar: made from settings, started, drained, stopped."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        redactor: Redactor | None = None,
        *,
        policy: bytes | None = None,
        clock: Clock = time,
        worker: bool = False,
        share: Share = ALONE,
        other: OtherPlane | None = None,
    ) -> None:
        """Take the settings; `redactor` receives every credential before it is used.

        `policy` is what the policy's file holds; None: `start` reads the file. A `worker` shares
        its port with others, has no admin port of its own and does not watch the policy's file: it
        receives what was found (`take_policy`). For `clock` and `share`, see `Context`. `other`
        serves in place of the proxy.
        """
        self._settings = settings
        self._environ = environ
        self._policy = policy
        self._other = other
        self._owned = contextlib.AsyncExitStack()
        self._context = Context(
            settings=settings,
            clock=clock,
            observer=Observer(build=build_labels(environ), orgs=settings.admin.metrics_orgs),
            redactor=redactor or Redactor(),
            share=share,
            worker=worker,
            owned=self._owned,
        )
        self._policies: PolicyStore | None = None
        self._server: Server | None = None
        self._status: Status | None = None
        self.port = 0
        """That of the data plane; 0 before it listens."""
        self._admin_address = ("", 0)

    @property
    def url(self) -> str:
        """Where the data plane listens, as seen from this machine."""
        return Address(self._settings.listen.host, self.port).here.url

    @property
    def admin_url(self) -> str:
        """Where the admin port listens."""
        return Address(*self._admin_address).url

    @property
    def status(self) -> Status:
        """What the admin port shows. Raises RuntimeError before start."""
        if self._status is None:
            raise RuntimeError("the sidecar has not been started")
        return self._status

    def parts(self) -> Iterator[Snapshot]:
        """Take the state of all metrics part by part."""
        return self._context.observer.parts()

    async def start(self) -> None:
        """Start every part, the listener last. Raises UserError for what a user can fix."""
        try:
            await self._start()
        except BaseException:
            await self._owned.aclose()
            raise

    async def _start(self) -> None:
        context, settings, observer = self._context, self._settings, self._context.observer
        limits, backlog = room_for(settings.limits)
        context.hide_given()
        self._policies = policies = self._open_policies(observer)
        parts = await open_engine(context, policies)
        memory = BodyMemory(body_memory(limits.body_memory, context.share))
        gateway: Gateway | None = None
        plane: Plane
        if self._other is None:
            plane = gateway = self._open_gateway(parts.engine, limits, memory)
        else:
            plane = self._other.open(parts.engine, policies, context, memory)
        webhook = None
        if settings.org.webhook_url is not None or settings.org.api_key is not None:
            # Imported only here: most sidecars have none, and it is a fiftieth of the start.
            from sidecar.app.side_jobs import open_side_jobs  # noqa: PLC0415

            webhook = await open_side_jobs(context, settings.org, policies, parts)
            if webhook is not None and gateway is not None:
                plane = webhook.door(gateway)
        if policies.current.notices and settings.org.api_key is None:
            hint = "give a bbk_ key with --api-key-file, or take `notices` out of the policy"
            log.warning("notices_off", extra={"hint": hint})
        server = Server(
            plane,
            limits=limits,
            trusted=settings.listen.trusted_proxies,
            observer=observer,
            backlog=backlog,
            upgrades=settings.listen.upgrades,
            via=settings.listen.via,
        )
        orgs = settings.admin.metrics_orgs
        self._status = status = Status(context, policies, parts, server, plane, orgs=orgs)
        addresses: dict[str, str] = {}
        if not context.worker:
            admin = AdminServer(status, Exposition(observer.parts))
            await admin.open(settings.admin)
            self._owned.push_async_callback(admin.close)
            self._admin_address = admin.address
            addresses = admin.urls()
        parts.keys.start()
        if not context.worker:
            own_task(self._owned, policies.watch(), "policy watch")
        await self._listen(server)
        if self._other is not None:
            await self._other.listen()
        if webhook is not None:
            own_task(self._owned, webhook.run(), "webhook registration")
        log.info(
            "worker_started" if context.worker else "started",
            extra={
                "listen": Address(settings.listen.host, self.port).url,
                **addresses,
                "upstream": "" if settings.upstream is None else settings.upstream.origin.url,
                "platform": settings.platform.api.url,
                "proxy": parts.proxy,
                "product": settings.policy.product or policies.current.product,
                "policy_hash": policies.current.hash,
                "version": __version__,
            },
        )

    async def stop(self, drain_seconds: float | None = None) -> bool:
        """Drain, then end every part; True when no request was cut off."""
        seconds = self._settings.process.drain_seconds if drain_seconds is None else drain_seconds
        drained = True
        if self._server is not None:
            if not self._context.worker:
                log_draining(self.status.requests, seconds)
            drained = await self._server.drain(seconds)
        await self._owned.aclose()
        log.info("stopped", extra={"drained": drained})
        return drained

    def hurry(self) -> None:
        """Cut off what a drain still waits for."""
        if self._server is not None:
            self._server.hurry()

    def begin_reload(self) -> None:
        """Read the policy again now, without waiting for how that ends; not in a worker."""
        if self._policies is not None:
            self._policies.reload_soon()

    async def take_policy(self, found: bytes | PolicyError) -> None:
        """Put in force what another process found in the policy's file."""
        if self._policies is not None:
            await self._policies.take(found)

    def _open_policies(self, observer: Observer) -> PolicyStore:
        """Put the policy in force. Raises UserError where there is none that can be used."""
        path = self._settings.policy.file

        def before_use(policy: Policy) -> None:
            if self._other is not None:
                self._other.check(policy, str(path))
            self._context.hide_of_policy(policy)

        content = read_policy_file(path) if self._policy is None else self._policy
        return PolicyStore(path, content, self._environ, observer, before_use=before_use)

    def _open_gateway(self, engine: Engine, limits: Limits, memory: BodyMemory) -> Gateway:
        context, product = self._context, self._settings.upstream
        if product is None:
            raise UserError("--upstream: a proxy needs the product's URL")
        pool_limits = PoolLimits(
            connections=limits.upstream_connections or limits.max_inflight,
            reserve=PROBES,
            idle_seconds=_UPSTREAM_IDLE_SECONDS,
            connect_timeout=limits.connect_timeout,
            max_head_bytes=limits.max_head_bytes,
            max_fields=limits.max_fields,
        )
        upstream = Pool(product.origin, pool_limits)
        self._owned.push_async_callback(upstream.close)
        return Gateway(
            engine=engine,
            upstream=upstream,
            clock=context.clock,
            observer=context.observer,
            max_inflight=limits.max_inflight,
            first_byte_timeout=limits.first_byte_timeout,
            nonce=secrets.token_hex(6),
            memory=memory,
        )

    async def _listen(self, server: Server) -> None:
        host, port = self._settings.listen.host, self._settings.listen.port
        try:
            self.port = await server.start(host, port, reuse_port=self._context.worker)
        except OSError as error:
            raise refusal(error, host, port, host_flag="--host", port_flag="--port") from error
        self._server = server
        self._owned.push_async_callback(server.close)
