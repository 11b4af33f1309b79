"""Builds the engine, and what it decides with: identities, books, the platform, shared attempts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from sidecar import __version__
from sidecar.admission.books import Books
from sidecar.admission.engine import Engine
from sidecar.admission.idempotency import NONCE_BYTES
from sidecar.admission.journal_files import JournalFiles
from sidecar.admission.lessor import Lessor
from sidecar.admission.reporter import Reporter
from sidecar.admission.settlements import Settlements
from sidecar.admission.settler import Settler
from sidecar.app.background import own_task
from sidecar.app.context import Context
from sidecar.app.estimates import RequestEstimates
from sidecar.app.journal_keeper import JournalKeeper
from sidecar.app.loop_watch import LoopWatch
from sidecar.domain.errors import UserError
from sidecar.domain.ports import Attempts, SharedHolds
from sidecar.http1.pool import Pool, PoolLimits
from sidecar.http1.proxies import usable_proxy_for
from sidecar.identity.keyset import FETCH_LIMITS, KeySet
from sidecar.identity.verifier import Verifier
from sidecar.platform.breaker import Breaker
from sidecar.platform.consume import Consumer
from sidecar.policy.store import PolicyStore
from sidecar.settings.secret import KeySource

_PLATFORM_IDLE_SECONDS: Final = 30.0
_PLATFORM_CONNECTIONS: Final = 64
_PLATFORM_FALLBACK_DELAY: Final = 0.0375
"""A quarter of what the default `platform_timeout` leaves for connecting: 0.6 of 250 ms."""

_REPORT_SECONDS: Final = 3.0
"""What the journal may take at shutdown to report to the platform; the rest waits in its file."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    """The engine, and the parts of it that others show or use. `proxy` leads to the platform."""

    engine: Engine
    keys: KeySet
    breaker: Breaker
    books: Books
    settlements: Settlements
    attempts: Attempts | None
    shared_holds: SharedHolds | None
    key: KeySource
    proxy: str


async def open_engine(context: Context, policies: PolicyStore) -> EngineParts:
    """Build the engine and start its parts. Raises UserError."""
    settings, clock, observer = context.settings, context.clock, context.observer
    owned = context.owned
    key = KeySource(settings.platform.key, on_change=context.hide)
    auth = settings.platform.auth
    keys = KeySet(Pool(auth, FETCH_LIMITS, proxy=usable_proxy_for(auth.url)), clock, observer)
    owned.push_async_callback(keys.close)
    nonce = secrets.token_bytes(NONCE_BYTES)
    # Closed last: holds are shown to other replicas as long as anything of them is being sent.
    attempts, shared_holds = await _shared(context, nonce)
    # Closed after the consumer: what that gives up at its end is still written down.
    books, settlements = _open_books(context, nonce)
    watch = LoopWatch(observer.loop_lagged)
    owned.callback(watch.close)
    breaker = Breaker(jitter=lambda: 0.75 + secrets.randbelow(256) / 1024)
    proxy = usable_proxy_for(settings.platform.api.url)
    limits = PoolLimits(
        connections=_PLATFORM_CONNECTIONS,
        idle_seconds=_PLATFORM_IDLE_SECONDS,
        fallback_delay=_PLATFORM_FALLBACK_DELAY,
    )
    consumer = Consumer(
        Pool(settings.platform.api, limits, proxy=proxy),
        key=key.current,
        breaker=breaker,
        observer=observer,
        agent=f"bb-sidecar/{__version__}",
        lost=watch.lost,
    )
    owned.push_async_callback(consumer.close)
    lessor = Lessor(
        books=books, quotas=consumer, clock=clock, observer=observer, nonce=nonce, lost=watch.lost
    )
    owned.push_async_callback(lessor.close)
    reporter = Reporter(
        books=books, quotas=consumer, clock=clock, observer=observer, settlements=settlements
    )
    owned.push_async_callback(reporter.drain, _REPORT_SECONDS)
    own_task(owned, reporter.run(), "journal reporter")
    settler = Settler(settlements=settlements, books=books, quotas=consumer, clock=clock)
    owned.push_async_callback(settler.close)
    engine = Engine(
        policies=policies,
        product=settings.policy.product,
        identities=Verifier(keys, settings.platform.token_issuer, clock),
        quotas=consumer,
        books=books,
        clock=clock,
        observer=observer,
        nonce=nonce,
        settlements=settlements,
        settler=settler,
        estimates=RequestEstimates(),
        attempts=attempts,
        shared_holds=shared_holds,
        lessor=lessor,
        share=context.share,
    )
    return EngineParts(
        engine,
        keys,
        breaker,
        books,
        settlements,
        attempts,
        shared_holds,
        key,
        "" if proxy is None else proxy.url,
    )


def _open_books(context: Context, nonce: bytes) -> tuple[Books, Settlements]:
    """Open the journal, where there is one, and take over what it holds."""
    path, owned = context.settings.state.journal, context.owned
    files = None
    if path is not None:
        numbered = not context.embedded
        files = (
            JournalFiles(path, context.share.index) if numbered else JournalFiles.first_free(path)
        )
    if files is not None:
        owned.callback(files.close)
    books = Books(context.observer, files)
    owned.callback(lambda: books.close(context.clock.time()))
    settlements = Settlements(books=books, observer=context.observer, nonce=nonce)
    if files is not None:
        keeper = JournalKeeper(files, books, settlements, context.clock)
        keeper.begin(alone=not context.worker)
        own_task(owned, keeper.run(), "journal keeper")
    return books, settlements


async def _shared(context: Context, nonce: bytes) -> tuple[Attempts | None, SharedHolds | None]:
    """Share the attempts of trusted request IDs, and holds, over Redis, where there is one."""
    redis = context.settings.state.redis
    if redis is None:
        return None, None
    try:
        from sidecar.storage.redis_attempts import RedisAttempts  # noqa: PLC0415 - an extra
        from sidecar.storage.redis_holds import RedisHolds  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise UserError(
            "--redis: the package redis is missing: pip install 'bizbasics-sidecar[redis]'"
        ) from error
    attempts = RedisAttempts.at(redis.reveal())
    context.owned.push_async_callback(attempts.close)
    await attempts.start()
    holds = RedisHolds(attempts, realm=context.settings.platform.api.url, replica=nonce)
    context.owned.push_async_callback(holds.close)
    return attempts, holds
