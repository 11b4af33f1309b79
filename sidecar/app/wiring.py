"""The wiring: the only place that makes adapters and joins them to the engine.

What is started here is owned here and ended in the reverse order, each step with a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from sidecar import __version__
from sidecar.admin.server import AdminServer
from sidecar.admin.state import ReloadReport
from sidecar.admission.books import Books
from sidecar.admission.engine import Engine
from sidecar.admission.journal_files import JournalFiles
from sidecar.admission.lessor import Lessor
from sidecar.admission.reporter import Reporter
from sidecar.app.background import own_task
from sidecar.app.journal_keeper import JournalKeeper
from sidecar.app.loop_watch import LoopWatch
from sidecar.app.memory_limit import body_memory
from sidecar.app.open_files import room_for
from sidecar.app.status import Status
from sidecar.domain.credentials import CookieSource
from sidecar.domain.errors import UserError
from sidecar.domain.ports import Attempts, Clock
from sidecar.domain.share import ALONE, Share
from sidecar.http1.pool import Pool, PoolLimits
from sidecar.http1.proxies import usable_proxy_for
from sidecar.identity.keyset import FETCH_LIMITS, KeySet
from sidecar.identity.session_secret import secret_problem
from sidecar.identity.verifier import Verifier
from sidecar.platform.breaker import Breaker
from sidecar.platform.consume import Consumer
from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError
from sidecar.policy.store import PolicyStore
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.gateway import Gateway
from sidecar.proxy.server import Server
from sidecar.settings.run import Settings
from sidecar.settings.secret import KeySource, Secret
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.observer import Observer
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.snapshot import Snapshot

if TYPE_CHECKING:
    from sidecar.app.side_jobs import WebhookJob

log = logging.getLogger("sidecar.app")

_PLATFORM_IDLE_SECONDS: Final = 30.0
_PLATFORM_CONNECTIONS: Final = 64
_PLATFORM_FALLBACK_DELAY: Final = 0.0375
"""A quarter of what the default `platform_timeout` leaves for connecting: 0.6 of 250 ms."""
_UPSTREAM_IDLE_SECONDS: Final = 4.0
_REPORT_SECONDS: Final = 3.0
"""What the journal may take at shutdown to tell the platform; the rest waits in its file."""


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
    ) -> None:
        """Take the settings; `redactor` receives every credential before it is used.

        `policy` is what the policy's file holds; None: `start` reads the file. A `worker` shares
        its port with others, has no admin port of its own and does not watch the policy's file: it
        receives what was found (`take_policy`). `clock` is for tokens, quotas and their books;
        timeouts use the event loop's. `share` is this process's part of the limits that are set for
        all workers together, and names its journal.
        """
        self._settings = settings
        self._environ = environ
        self._policy = policy
        self._clock = clock
        self._worker = worker
        self._share = share
        self._observer = Observer(version=__version__, orgs=settings.metrics_orgs)
        self._redactor = redactor or Redactor()
        self._owned = contextlib.AsyncExitStack()
        self._reloads: set[asyncio.Task[ReloadReport]] = set()
        self._policies: PolicyStore | None = None
        self._server: Server | None = None
        self._status: Status | None = None
        self._port = 0
        self._admin_address = ("", 0)

    @property
    def url(self) -> str:
        """Where the data plane listens, as seen from this machine."""
        host = self._settings.listen.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self._port}"

    @property
    def admin_url(self) -> str:
        """Where the admin port listens."""
        host, port = self._admin_address
        return f"http://{host}:{port}"

    @property
    def port(self) -> int:
        """The port of the data plane; 0 before it listens."""
        return self._port

    @property
    def status(self) -> Status:
        """What the admin port shows. Raises RuntimeError before start."""
        if self._status is None:
            raise RuntimeError("the sidecar has not been started")
        return self._status

    def snapshot(self) -> Snapshot:
        """Take the state of all metrics."""
        return self._observer.snapshot()

    def parts(self) -> Iterator[Snapshot]:
        """Take the state of all metrics part by part."""
        return self._observer.parts()

    async def start(self) -> None:
        """Start every part, the listener last. Raises UserError for what a user can mend."""
        try:
            await self._start()
        except BaseException:
            await self._owned.aclose()
            raise

    async def _start(self) -> None:
        settings, clock, observer = self._settings, self._clock, self._observer
        limits, backlog = room_for(settings.limits)
        self._hide_own()
        self._policies = policies = self._open_policies(observer)
        key = KeySource(settings.key, on_change=self._hide)
        auth = Pool(settings.auth, FETCH_LIMITS, proxy=usable_proxy_for(settings.auth.url))
        keys = KeySet(auth, clock, observer)
        self._owned.push_async_callback(keys.close)
        # Closed after the consumer: what that gives up at its end is still written down.
        books = self._open_books(observer)
        watch = LoopWatch(observer.loop_lagged)
        self._owned.callback(watch.close)
        breaker = Breaker(jitter=lambda: 0.75 + secrets.randbelow(256) / 1024)
        proxy = usable_proxy_for(settings.platform.url)
        platform = Pool(
            settings.platform,
            PoolLimits(
                connections=_PLATFORM_CONNECTIONS,
                idle_seconds=_PLATFORM_IDLE_SECONDS,
                fallback_delay=_PLATFORM_FALLBACK_DELAY,
            ),
            proxy=proxy,
        )
        consumer = Consumer(
            platform,
            key=key.current,
            breaker=breaker,
            observer=observer,
            agent=f"bb-sidecar/{__version__}",
            lost=watch.lost,
        )
        self._owned.push_async_callback(consumer.close)
        nonce = secrets.token_bytes(16)
        lessor = Lessor(
            books=books, quotas=consumer, clock=clock, observer=observer, nonce=nonce,
            lost=watch.lost,
        )  # fmt: skip
        self._owned.push_async_callback(lessor.close)
        reporter = Reporter(books=books, quotas=consumer, clock=clock, observer=observer)
        self._owned.push_async_callback(reporter.drain, _REPORT_SECONDS)
        own_task(self._owned, reporter.run(), "journal reporter")
        attempts = await self._shared_attempts()
        engine = Engine(
            policy=lambda: policies.current,
            product=settings.product,
            identities=Verifier(keys, settings.issuer, clock),
            quotas=consumer,
            books=books,
            clock=clock,
            observer=observer,
            nonce=nonce,
            attempts=attempts,
            lessor=lessor,
            share=self._share,
        )
        upstream = Pool(
            settings.upstream,
            PoolLimits(
                connections=limits.upstream_connections,
                idle_seconds=_UPSTREAM_IDLE_SECONDS,
                connect_timeout=limits.connect_timeout,
                max_head_bytes=limits.max_head_bytes,
                max_fields=limits.max_fields,
            ),
        )
        self._owned.push_async_callback(upstream.close)
        gateway = Gateway(
            engine=engine,
            upstream=upstream,
            clock=clock,
            observer=observer,
            max_inflight=limits.max_inflight,
            first_byte_timeout=limits.first_byte_timeout,
            nonce=secrets.token_hex(6),
            memory=BodyMemory(body_memory(limits.body_memory, self._share)),
        )
        webhook = await self._side_jobs(policies, books, key)
        server = Server(
            gateway,
            limits=limits,
            trusted=settings.trusted_proxies,
            observer=observer,
            serve=None if webhook is None else webhook.door(gateway).serve,
            backlog=backlog,
        )
        self._status = status = Status(
            policies=policies, keys=keys, breaker=breaker, books=books, server=server,
            gateway=gateway, clock=clock, orgs=settings.metrics_orgs, attempts=attempts,
            share=self._share,
        )  # fmt: skip
        status.publish(observer)
        addresses = {"admin": ""}
        if not self._worker:
            admin = AdminServer(status, Exposition(observer.parts))
            await admin.open(settings)
            self._owned.push_async_callback(admin.close)
            self._admin_address = admin.address
            addresses = admin.urls()
        keys.start()
        if not self._worker:
            own_task(self._owned, policies.watch(), "policy watch")
        await self._listen(server)
        if webhook is not None:
            own_task(self._owned, webhook.run(), "webhook registration")
        log.info(
            "worker_started" if self._worker else "started",
            extra={
                "listen": self.url,
                **addresses,
                "upstream": settings.upstream.url,
                "platform": settings.platform.url,
                "proxy": "" if proxy is None else proxy.url,
                "product": settings.product or policies.current.product,
                "policy_hash": policies.current.hash,
                "version": __version__,
            },
        )

    async def stop(self, drain_seconds: float | None = None) -> bool:
        """Drain, then end every part; True when no request was cut off."""
        seconds = self._settings.drain_seconds if drain_seconds is None else drain_seconds
        whole = True
        if self._server is not None:
            whole = await self._server.drain(seconds)
        await self._owned.aclose()
        log.info("stopped", extra={"whole": whole})
        return whole

    def hurry(self) -> None:
        """Cut off what a drain still waits for."""
        if self._server is not None:
            self._server.hurry()

    def begin_reload(self) -> None:
        """Read the policy again now, without waiting for how that ends; not in a worker."""
        if self._status is not None and not self._worker:
            task = asyncio.ensure_future(self._status.reload())
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    async def take_policy(self, found: bytes | PolicyError) -> None:
        """Put in force what another process found in the policy's file."""
        if self._policies is not None:
            await self._policies.take(found)

    def _open_policies(self, observer: Observer) -> PolicyStore:
        """Put the policy in force. Raises UserError where there is none that can be used."""
        path, hide = self._settings.policy, self._learn_secrets
        content = read_policy_file(path) if self._policy is None else self._policy
        self._owned.push_async_callback(self._end_reloads)
        return PolicyStore(path, content, self._environ, observer, before_use=hide)

    async def _end_reloads(self) -> None:
        for task in self._reloads:
            task.cancel()
        if self._reloads:
            await asyncio.wait(self._reloads, timeout=2.0)

    def _open_books(self, observer: Observer) -> Books:
        """Open the journal, where there is one, and take over what it holds."""
        path = self._settings.journal
        files = None if path is None else JournalFiles(path, self._share.index)
        if files is not None:
            self._owned.callback(files.close)
        books = Books(observer, files)
        self._owned.callback(lambda: books.close(self._clock.time()))
        if files is not None:
            keeper = JournalKeeper(files, books, self._clock)
            keeper.begin(alone=not self._worker)
            own_task(self._owned, keeper.run(), "journal keeper")
        return books

    async def _side_jobs(
        self, policies: PolicyStore, books: Books, key: KeySource
    ) -> WebhookJob | None:
        """Start the notices and make the webhook, where they are asked for."""
        settings, observer = self._settings, self._observer
        if policies.current.notices and settings.api_key is None:
            mend = "give a bbk_ key with --api-key-file, or take `notices` out of the policy"
            log.warning("notices_off", extra={"mend": mend})
        if settings.webhook is None and settings.api_key is None:
            return None
        # Most sidecars have none: a fiftieth of the start.
        from sidecar.app.side_jobs import WebhookJob, client_for, publisher_for  # noqa: PLC0415

        client = client_for(settings, key.current, self._hide)
        await self._owned.enter_async_context(client)
        if settings.api_key is not None:
            publisher = publisher_for(settings, client, policies, observer)
            own_task(self._owned, publisher.run(), "notices")
        if settings.webhook is None:
            return None
        return WebhookJob(
            settings.webhook.url.url,
            settings.webhook.url.path,
            settings.webhook.secret,
            client=client,
            hide=self._hide,
            stale=books,
            clock=self._clock,
            observer=observer,
        )

    async def _shared_attempts(self) -> Attempts | None:
        """Count the attempts of trusted request IDs in Redis, where there is one."""
        redis = self._settings.redis
        if redis is None:
            return None
        try:
            from sidecar.storage.redis_attempts import RedisAttempts  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise UserError(
                "--redis: the package redis is missing: pip install 'bizbasics-sidecar[redis]'"
            ) from error
        attempts = RedisAttempts.at(redis.reveal())
        self._owned.push_async_callback(attempts.close)
        await attempts.start()
        return attempts

    async def _listen(self, server: Server) -> None:
        listen = self._settings.listen
        try:
            self._port = await server.start(listen.host, listen.port, reuse_port=self._worker)
        except OSError as error:
            raise UserError(
                f"--port: {listen} cannot be listened on: {error.strerror or error}:"
                " give a free address of this machine"
            ) from error
        self._server = server
        self._owned.push_async_callback(server.close)

    def _hide(self, secret: Secret) -> None:
        self._redactor.add(secret.reveal())

    def _hide_own(self) -> None:
        if isinstance(self._settings.key, Secret):
            self._hide(self._settings.key)
        if self._settings.redis is not None:
            self._hide(self._settings.redis)

    def _learn_secrets(self, policy: Policy) -> None:
        """Hide the secrets of a policy before it is in force, and tell of those that are weak."""
        for source in policy.identity:
            if isinstance(source, CookieSource) and source.secret is not None:
                self._redactor.add(source.secret.decode("utf-8", "surrogateescape"))
                problem = secret_problem(source.secret)
                if problem is not None:
                    extra = {"source": source.name, "problem": problem}
                    log.warning("session_secret_weak", extra=extra)
