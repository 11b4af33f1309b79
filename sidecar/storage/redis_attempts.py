"""Attempt numbers of trusted request IDs, counted in Redis for every replica together.

A replica that cannot reach Redis counts for itself, as it does without one: a trusted proxy's
retry at another replica then shares the key, and is charged once for two executions.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final, Self

from sidecar.errors import UserError
from sidecar.redis_url import RedisTls, RedisUrl, parse_redis_url
from sidecar.storage.redis_link import PREFIX, STARTING
from sidecar.storage.redis_servers import RedisServers

TIMEOUT_SECONDS: Final = 0.05
"""The longest a call waits for its number; then it goes on without."""

START_SECONDS: Final = 1.0
"""The longest that the start waits for the first connection."""

_SCOPE_BYTES: Final = 16  # of the digest: enough to be unique, and half the memory in Redis

_log = logging.getLogger("sidecar.storage")


class RedisAttempts:
    """`sidecar.ports.Attempts` over one Redis, or over a cluster."""

    def __init__(self, url: RedisUrl, context: ssl.SSLContext | None, *, timeout: float) -> None:
        """Count in the Redis of `url`, which has `timeout` seconds for each number."""
        self._timeout = timeout
        self._logged = ""
        self._servers = RedisServers(url, context, number_seconds=timeout, changed=self._log_change)

    @classmethod
    def at(cls, text: str, *, timeout: float = TIMEOUT_SECONDS) -> Self:
        """Count in the Redis of a URL; UserError when it cannot be used as it is.

        Nothing is connected before `start`. The URL may hold a password, so no error repeats it.
        """
        try:
            url = parse_redis_url(text)
        except ValueError as problem:
            raise UserError(f"--redis: the value {problem}") from None
        return cls(url, None if url.tls is None else _context(url.tls), timeout=timeout)

    @property
    def problem(self) -> str:
        """Why numbers are not counted over all replicas now; empty while they are."""
        return self._servers.problem

    async def start(self) -> None:
        """Connect in the background; wait a little, so that the first calls are counted too."""
        await self._servers.start(seconds=START_SECONDS)

    async def next(self, scope: bytes) -> int | None:
        """Take the next attempt number of `scope`, from 0; None when Redis does not answer.

        A number is counted over all replicas, None is not. Never raises but when cancelled.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        count = await self._servers.number(PREFIX + scope[:_SCOPE_BYTES], deadline=deadline)
        return None if count is None else count - 1

    async def close(self) -> None:
        """Close the connections."""
        await self._servers.close()

    def _log_change(self) -> None:
        """Log that counting has stopped, each new cause of it, and that it goes on."""
        problem = self._servers.problem
        if problem in {self._logged, STARTING}:
            return
        self._logged = problem
        if problem:
            meaning = "attempts are counted in this process alone until it answers"
            _log.warning("redis_lost", extra={"cause": problem, "meaning": meaning})
        else:
            _log.info("redis_back", extra={"meaning": "attempts are counted over replicas again"})


def _context(tls: RedisTls) -> ssl.SSLContext:
    """Make the TLS context, so that a missing file is found at the start."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise UserError(
            f"--redis: the file of ssl_ca_certs cannot be used: {_reason(error)}"
        ) from error
    try:
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    except OSError as error:
        raise UserError(
            f"--redis: the files of ssl_certfile and ssl_keyfile cannot be used: {_reason(error)}"
        ) from error
    context.check_hostname = tls.check_hostname
    if not tls.verify:
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not PEM, or they do not belong together ({error.reason or 'no reason given'})"
    return error.strerror or type(error).__name__
