"""Attempt numbers of trusted request IDs, counted in Redis for every replica together.

A replica that cannot reach Redis counts for itself, as it does without one: a trusted proxy's
retry at another replica then shares the key, and is charged once for two executions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from sidecar.errors import UserError

EXPIRY_SECONDS: Final = 24 * 3600
"""How long a count is kept after its last use: as long as the platform remembers a key."""

TIMEOUT_SECONDS: Final = 0.05
"""The longest a call waits for its number; then it goes on without."""

PAUSE_SECONDS: Final = 5.0
"""How long Redis is left alone after a failure, so that an outage costs no call its latency."""

_CONNECTIONS: Final = 32
_PREFIX: Final = b"bb-sidecar:attempts:"
_SCOPE_BYTES: Final = 16  # of the digest: enough to be unique, and half the memory in Redis

_log = logging.getLogger("sidecar.storage")


class RedisAttempts:
    """`sidecar.ports.Attempts` over one Redis. Nothing is connected before the first use."""

    def __init__(
        self,
        client: Redis,
        *,
        timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count in `client`, giving it `timeout` seconds for each number."""
        self._client = client
        self._timeout = timeout
        self._monotonic = monotonic
        self._asked_again_at = 0.0
        self._failing = ""

    @property
    def problem(self) -> str:
        """Why the last number could not be had; empty when it could."""
        return self._failing

    @classmethod
    def at(cls, url: str, *, timeout: float = TIMEOUT_SECONDS) -> Self:
        """Count in the Redis at `url` (redis://, rediss:// or unix://); UserError when it is none.

        A number, and a connection before it, may take `timeout` seconds each. The URL may hold a
        password, so no error repeats it.
        """
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=timeout,
                socket_connect_timeout=timeout,
            )
        except ValueError:
            raise UserError(
                "--redis: not the URL of a Redis; give redis://host:6379/0, rediss:// or unix://"
            ) from None
        return cls(Redis(connection_pool=pool), timeout=timeout)

    async def next(self, scope: bytes) -> int | None:
        """Take the next attempt number of `scope`, from 0; None when Redis does not answer."""
        if self._failing and self._monotonic() < self._asked_again_at:
            return None
        key = _PREFIX + scope[:_SCOPE_BYTES]
        try:
            async with asyncio.timeout(self._timeout):
                async with self._client.pipeline(transaction=True) as pipe:
                    pipe.incr(key)
                    pipe.expire(key, EXPIRY_SECONDS)
                    count, _ = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return None
        if self._failing:
            self._failing = ""
            _log.info("redis_back", extra={"meaning": "attempts are counted over replicas again"})
        return int(count) - 1

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    def _failed(self, error: Exception) -> None:
        self._asked_again_at = self._monotonic() + PAUSE_SECONDS
        if self._failing:
            return
        # The error's text may hold the URL; its kind says enough.
        self._failing = type(error).__name__
        _log.warning(
            "redis_lost",
            extra={
                "kind": self._failing,
                "meaning": "attempts are counted in this process alone until it answers",
            },
        )
