"""One call to the platform: sent, read within bounds, and sent again where that is safe.

Redirects are not followed: a credential goes to the host that was named and to no other.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from sidecar import __version__
from sidecar.client.connecting import connector, proxy_arguments
from sidecar.client.errors import (
    ClientClosedError,
    DeadlineError,
    PlatformError,
    UnavailableError,
    UnreadableAnswerError,
    error_of,
)
from sidecar.client.reading import read_detail
from sidecar.client.retrying import Backoff, may_repeat, read_http_date, read_retry_after
from sidecar.http1.errors import connect_failure

MAX_ANSWER: Final = 8 << 20
"""Bytes of an answer that are read: a page of records is far below it."""

_SUCCESS: Final = range(200, 300)
_SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take. Seconds.

    `attempt`: one request, connecting included. `deadline`: the whole call, waits and repeats
    included.
    """

    attempt: float = 5.0
    deadline: float = 15.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it is sent. `repeatable`: doing it twice is doing it once.

    `key` is what kind of key is sent, for errors: a program may have two.
    """

    method: str
    origin: str
    path: str
    repeatable: bool
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    key: str = "key"

    @property
    def name(self) -> str:
        """Method and path, for errors: the query may be private."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its JSON, and the server's clock by the Date field (Unix seconds)."""

    value: object
    date: float | None


class Transport:
    """Sends requests over one pool of connections, from `open` to `close`."""

    def __init__(
        self,
        patience: Patience,
        *,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._patience = patience
        self._chance = chance
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool of connections."""
        self._session = aiohttp.ClientSession(
            connector=connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            json_serialize=_json_text,
            headers={"Accept": "application/json", "User-Agent": f"bb-sidecar/{__version__}"},
            # Ours bound each attempt; a limit here would count the waits between them too.
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, request: Request) -> Reply:
        """Return the answer. Raises PlatformError; the last one, when none came in time."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._patience.deadline
        attempt = 0
        while True:
            left = end - clock()
            try:
                return await self._attempt(request, min(self._patience.attempt, max(left, 0.001)))
            except PlatformError as error:
                wait = self._patience.backoff.wait(attempt, self._chance())
                wait = max(wait, error.retry_after or 0.0)
                if clock() + wait >= end or not may_repeat(error, repeatable=request.repeatable):
                    raise
            await self._sleep(wait)
            attempt += 1

    async def _attempt(self, request: Request, seconds: float) -> Reply:
        name = request.name
        try:
            async with asyncio.timeout(seconds):
                return await self._send(request)
        except TimeoutError:
            raise DeadlineError(name, f"no answer within {seconds:.3g} s") from None
        except aiohttp.ClientConnectorError as error:
            reason = connect_failure(error) or type(error).__name__
            what = f"cannot connect to {request.origin}"
            raise UnavailableError(name, what, detail=reason, unsent=True) from None
        except aiohttp.InvalidURL:
            raise
        except (aiohttp.ClientError, OSError) as error:
            what = "the connection broke"
            raise UnavailableError(name, what, detail=type(error).__name__) from None

    async def _send(self, request: Request) -> Reply:
        if self._session is None:
            raise ClientClosedError(
                f"{request.name}: the client is not open: use it as `async with PlatformClient(…)`"
            )
        async with self._session.request(
            request.method,
            request.origin + request.path,
            params=request.query or None,
            json=request.body,
            headers=request.headers,
            allow_redirects=False,
            **proxy_arguments(request.origin),
        ) as answer:
            raw = await answer.content.read(MAX_ANSWER + 1)
            while len(raw) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER)):
                raw += more
            status = answer.status
            retry_after = read_retry_after(answer.headers.get("Retry-After"), time.time())
            date = read_http_date(answer.headers.get("Date"))
        if len(raw) > MAX_ANSWER:
            what = f"an answer of more than {MAX_ANSWER} bytes"
            raise UnreadableAnswerError(request.name, what, status=status)
        return Reply(_json_of(request, status, raw, retry_after), date)


def _json_text(value: object) -> str:
    """Write JSON; ValueError for what is none, as NaN: not every platform would refuse it."""
    return json.dumps(value, allow_nan=False)


def _json_of(request: Request, status: int, raw: bytes, retry_after: float | None) -> object:
    try:
        value: object = json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        if status in _SUCCESS:
            what = "the answer is not JSON"
            raise UnreadableAnswerError(request.name, what, status=status) from None
        value = None
    if status not in _SUCCESS:
        detail = _without_secrets(read_detail(value), request)
        raise error_of(request.name, status, detail, retry_after, key=request.key)
    return value


def _without_secrets(detail: str, request: Request) -> str:
    """Mask what was sent, where the platform repeats it: headers and query may be credentials."""
    for value in (*request.headers.values(), *request.query.values()):
        secret = value.removeprefix("Bearer ")
        if len(secret) >= _SHORTEST_SECRET:
            detail = detail.replace(secret, "***")
    return detail
