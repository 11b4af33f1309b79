"""The client of a Redis: how a URL becomes one, and the commands that it is for."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any, Final

from redis.asyncio import (
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sidecar.domain.errors import UserError
from sidecar.settings.redis_url import RedisTls, RedisUrl

EXPIRY_SECONDS: Final = 24 * 3600
"""How long a count is kept after its last use: as long as the platform remembers a key."""

CONNECT_SECONDS: Final = 5.0
"""For a connection: the name, TCP and TLS."""

ANSWER_SECONDS: Final = 1.0
"""For an answer, also to the login. No call waits as long."""

_CLOSE_SECONDS: Final = 1.0

Client = Redis | RedisCluster


class _TlsConnection(SSLConnection):
    """One context for all connections: to read the authorities takes a loop's time."""

    def __init__(self, *, context: ssl.SSLContext, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(**arguments)
        self.ssl_context.context = context


def connect(url: RedisUrl, context: ssl.SSLContext | None, *, cluster: bool = False) -> Client:
    """Make the client of a URL, or that of the cluster behind it. It connects when it is used."""
    if not cluster:
        return Redis.from_pool(_pool(url, context))
    client = RedisCluster(
        host=url.host,
        port=url.port,
        ssl=url.tls is not None,
        require_full_coverage=False,
        **{**_arguments(url), "retry": Retry(NoBackoff(), 1)},  # the map is read before the second
    )
    if context is not None:
        client.get_connection_kwargs().update(connection_class=_TlsConnection, context=context)
    return client


def context_of(url: RedisUrl) -> ssl.SSLContext | None:
    """Make the TLS context of a URL; UserError for files that cannot be used."""
    if url.tls is None:
        return None
    try:
        return SSLConnection(**_tls(url.tls)).ssl_context.get()
    except OSError as error:
        pem = "not PEM, or they do not belong together"
        reason = pem if isinstance(error, ssl.SSLError) else error.strerror
        raise UserError(
            "--redis: the files of ssl_ca_certs, ssl_certfile and ssl_keyfile cannot be used:"
            f" {reason}"
        ) from None


async def count(client: Client, *keys: bytes) -> list[int | Exception]:
    """Take the next number of each key, from 1, and keep it for another day.

    All go in one pipeline. A key that fails alone, as in a part of a cluster, gets its error.
    """
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.execute_command("INCR", key)  # incr() would send INCRBY, which few users may
        pipe.expire(key, EXPIRY_SECONDS)
    found = await pipe.execute(raise_on_error=False)
    return [each if isinstance(each, Exception) else int(each) for each in found[::2]]


async def close(client: Client) -> None:
    """Close the connections, without a long wait for a server that hangs."""
    with contextlib.suppress(OSError, RedisError):  # a TimeoutError is an OSError
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.aclose()


def _pool(url: RedisUrl, context: ssl.SSLContext | None) -> ConnectionPool:
    arguments = {**_arguments(url), "db": url.database}
    if url.path:
        return ConnectionPool(UnixDomainSocketConnection, path=url.path, **arguments)
    arguments |= {"host": url.host, "port": url.port}
    if context is None:
        return ConnectionPool(Connection, **arguments)
    return ConnectionPool(_TlsConnection, context=context, **arguments)


def _arguments(url: RedisUrl) -> dict[str, Any]:
    return {
        "username": url.username or None,
        "password": url.password or None,
        "client_name": url.client_name or None,
        "protocol": 2,  # servers before Redis 6 know no other
        "socket_timeout": ANSWER_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # the connections are opened again by their keeper
        **({} if url.tls is None else _tls(url.tls)),
    }


def _tls(tls: RedisTls) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.check_hostname,  # before version 6 it was off by default
        "ssl_ca_certs": tls.ca_file,
        "ssl_certfile": tls.certificate_file,
        "ssl_keyfile": tls.key_file,
    }


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task that uses a client, again and again until it has ended.

    The client waits with `asyncio.wait_for`, which on Python 3.11 loses a cancellation that comes
    in the moment in which what it waits for is done.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=2 * _CLOSE_SECONDS)
