"""Attempt numbers of trusted request IDs, counted in Redis for every replica together.

A replica that cannot reach Redis counts for itself, as it does without one: a trusted proxy's
retry at another replica then shares the key, and is charged once for two executions.

Connections are opened, tested and replaced by a task of our own. Calls use them only while the last
test has succeeded, so none waits for a connection to a Redis that is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from itertools import zip_longest
from typing import Final, Self

from redis.asyncio import RedisCluster
from redis.exceptions import MovedError

from sidecar.domain.errors import UserError
from sidecar.settings.redis_url import RedisUrl, parse_redis_url
from sidecar.storage.causes import LateError, cause_of
from sidecar.storage.redis_client import Client, close, connect, context_of, count, end

TIMEOUT_SECONDS: Final = 0.05
"""The longest a call waits for its number; then it goes on without."""

START_SECONDS: Final = 1.0
"""The longest that the start waits for the first connections."""

CONNECTIONS: Final = 16
"""Kept open to a Redis; each carries all the calls that wait for one, in a cluster one call."""

CHECK_SECONDS: Final = 5.0
"""How often idle connections are tested: a failover or an outage shows before a call needs them."""

FIRST_PAUSE_SECONDS: Final = 0.1
"""Between the second attempt to connect and the third; the second follows the first at once."""

LONGEST_PAUSE_SECONDS: Final = 5.0
"""Each pause is twice the one before, up to this."""

_PREFIX: Final = b"bb-sidecar:attempts:"
_SCOPE_BYTES: Final = 16  # of the digest: enough to be unique, and half the memory in Redis
_LATE_ANSWERS: Final = 3
_STARTING: Final = "not connected yet"

_log = logging.getLogger("sidecar.storage")


class RedisAttempts:
    """`sidecar.domain.ports.Attempts` over one Redis, or over a cluster."""

    def __init__(self, url: RedisUrl, context: ssl.SSLContext | None, *, timeout: float) -> None:
        """Count in the Redis of `url`, which has `timeout` seconds for each number."""
        self._url = url
        self._context = context
        self._timeout = timeout
        self.client: Client | None = None  # while calls may use it
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._waiting: list[tuple[bytes, asyncio.Future[int | None]]] = []
        self._sending = False  # a task will take all that wait
        self._seconds = 0.0  # of the last answer
        self._taking: set[asyncio.Task[None]] = set()
        self._doubted = asyncio.Event()
        self._settled = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._logged = ""
        self.problem = _STARTING
        """Why numbers are not counted over all replicas now; empty while they are."""

    @classmethod
    def at(cls, text: str, *, timeout: float = TIMEOUT_SECONDS) -> Self:
        """Count in the Redis of a URL; UserError when it cannot be used as it is.

        Nothing is connected before `start`. The URL may hold a password, so no error repeats it.
        """
        try:
            url = parse_redis_url(text)
        except ValueError as problem:
            raise UserError(f"--redis: the value {problem}") from None
        made = cls(url, context_of(url), timeout=timeout)
        connect(url, made._context)  # what redis-py does not accept is found now
        return made

    async def start(self) -> None:
        """Connect in the background; wait a little, so that the first calls are counted too."""
        self._keeping = asyncio.ensure_future(self._keep())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._settled.wait()

    async def close(self) -> None:
        """Close the connections."""
        if self._keeping is not None:
            await end(self._keeping)

    async def next(self, scope: bytes) -> int | None:
        """Take the next attempt number of `scope`, from 0; None when Redis does not answer.

        A number is counted over all replicas, None is not. Never raises but when cancelled. The
        command goes on when its call does not: only the one who sent it reads its answer.
        """
        if self.client is None:
            return None
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_PREFIX + scope[:_SCOPE_BYTES], answer))
        if not self._sending:
            self._sending = not isinstance(self.client, RedisCluster)
            task = asyncio.ensure_future(self._take(self.client))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)
        done, _ = await asyncio.wait((answer,), timeout=self._timeout)
        if not done:
            self.doubt(LateError(self._timeout))
        return answer.result() if done else None

    async def _take(self, client: Client) -> None:
        """Take the numbers of all calls that wait, in one pipeline, once a connection is free.

        Each connection waits for its turn, a share of an answer's time, so that one is soon free.
        In a cluster each number has its own: a node that is away would fail those of the others.
        """
        batch: list[tuple[bytes, asyncio.Future[int | None]]] = []
        found: list[int | Exception] = []
        now = asyncio.get_running_loop().time
        try:
            async with self._free:
                if self._sending and len(self._taking) > 1:
                    await asyncio.sleep(self._seconds / CONNECTIONS)
                size = 1 if isinstance(client, RedisCluster) else len(self._waiting)
                batch, self._waiting = self._waiting[:size], self._waiting[size:]
                self._sending = False
                began = now()
                found = await count(client, *(key for key, _ in batch))
                self._seconds = now() - began
        except Exception as error:  # noqa: BLE001 - a call never fails for what the store does
            self.doubt(error)
        finally:
            for (_, answer), each in zip_longest(batch, found):
                if not answer.done():
                    answer.set_result(each - 1 if isinstance(each, int) else None)
        for each in found:
            if isinstance(each, Exception):
                self.doubt(each)

    def doubt(self, error: Exception) -> None:
        """Let no call use the connections before they are tested; a known problem stands."""
        if not self.problem:
            self.client = None
            self._set(cause_of(error))
            self._doubted.set()

    async def _keep(self) -> None:
        """Connect, and connect again when a test fails. A cluster is found by its MOVED."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        cluster = False
        while True:
            since = loop.time()
            try:
                client = connect(self._url, self._context, cluster=cluster)
                try:
                    await self._serve(client)
                finally:
                    await self._leave(client)
            except MovedError as error:
                cluster = not cluster
                if cluster:
                    continue
                self._set(cause_of(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                cluster = False
                self._set(cause_of(error))
            self._settled.set()
            if loop.time() - since > CHECK_SECONDS:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    async def _leave(self, client: Client) -> None:
        self.client = None
        for task in tuple(self._taking):
            task.cancel()
        if self._taking:
            await asyncio.wait(self._taking)
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_result(None)
        self._waiting, self._sending = [], False
        await close(client)

    async def _serve(self, client: Client) -> None:
        """Test the connections, at once when a call doubts them; raise why they cannot be used."""
        while True:
            self._doubted.clear()
            self._set(await self._test(client))
            self.client = client
            self._settled.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_PAUSE_SECONDS if self.problem else CHECK_SECONDS):
                    await self._doubted.wait()

    async def _test(self, client: Client) -> str:
        """Take a number over each connection, and one in a call's time; return a part's problem.

        The keys are in many slots: at every node of a small cluster, of which a part may fail.
        """
        keys = [_PREFIX + b"probe-%d" % n for n in range(CONNECTIONS)]
        taken = await asyncio.gather(*(count(client, key) for key in keys), return_exceptions=True)
        results = [each[0] if isinstance(each, list) else each for each in taken]
        errors = [error for error in results if isinstance(error, Exception)]
        if errors and not (isinstance(client, RedisCluster) and len(errors) < len(results)):
            raise next((each for each in errors if isinstance(each, MovedError)), errors[0])
        if errors:
            return f"a part of the cluster: {cause_of(errors[0])}"
        now = asyncio.get_running_loop().time
        for key in keys[:_LATE_ANSWERS]:  # two may be late because this process was busy
            began = now()
            await count(client, key)
            if now() - began <= self._timeout:
                return ""
        raise LateError(self._timeout)

    def _set(self, problem: str) -> None:
        """Keep the problem; log that counting has stopped, each new cause, and that it goes on."""
        self.problem = problem
        if problem == self._logged:
            return
        self._logged = problem
        if problem:
            meaning = "attempts and holds are those of this process alone until it answers"
            _log.warning("redis_lost", extra={"cause": problem, "meaning": meaning})
        else:
            _log.info(
                "redis_back", extra={"meaning": "attempts and holds are shared by replicas again"}
            )
