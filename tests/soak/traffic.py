"""What the callers do: every kind of request there is, each outcome checked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

from tests.e2e.harness import CHAT
from tests.fakes.obedient_product import BROKEN, WHOLE, Act, ObedientProduct, body_of
from tests.plane import Answer, Client
from tests.wire.world import until

UPLOAD: Final = "/api/files/x"
CLOSED: Final = "/api/v1/closed"
LEASED: Final = "/api/v1/leased"
FRAGMENT: Final = 20_000
SILENT_SECONDS: Final = 12.0
"""After which a caller gives up: every timeout of the sidecar has passed by then."""

_DENIALS: Final = frozenset({401, 403, 429, 503})
_SHORT: Final = sorted(WHOLE - {Act.HOLD, Act.SILENT, Act.UNTIL_CLOSE})


class Orgs:
    """Who calls: a token each, and whether the platform tells an unlimited one the truth now."""

    def __init__(self, tokens: dict[str, str], free: str) -> None:
        self._tokens = tokens
        self._free = free
        self._names = sorted(tokens)
        self._flying = 0
        self._truthful = asyncio.Event()
        self._truthful.set()

    @contextlib.asynccontextmanager
    async def lies(self) -> AsyncIterator[None]:
        """Keep the unlimited org silent: of it, a platform whose store is down lies credibly."""
        self._truthful.clear()
        await until(lambda: not self._flying, seconds=30.0)
        try:
            yield
        finally:
            self._truthful.set()

    @contextlib.contextmanager
    def one(self) -> Iterator[tuple[str, str]]:
        """Draw an org and its token, for one request."""
        truthful = self._truthful.is_set()
        name = random.choice([each for each in self._names if truthful or each != self._free])
        free = name == self._free
        self._flying += free
        try:
            yield name, self._tokens[name]
        finally:
            self._flying -= free


class Traffic:
    """Callers on `port`; `seen` counts outcomes by kind, `wrong` holds what must not happen."""

    def __init__(self, port: int, orgs: Orgs, product: ObedientProduct) -> None:
        self._port = port
        self._orgs = orgs
        self._product = product
        self._serial = itertools.count()
        self.seen: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self._kinds: dict[str, tuple[int, Callable[[], Awaitable[str]]]] = {
            "json": (30, self._json),
            "stream": (10, self._stream),
            "upload": (8, self._upload),
            "websocket": (6, self._websocket),
            "abort": (14, self._abort),
            "slow reader": (3, self._slow_reader),
            "duplicates": (6, self._duplicates),
            "broken product": (10, self._broken),
            "fail closed": (8, self._closed),
            "leased": (12, self._leased),
        }

    async def call_until(self, over: asyncio.Event) -> None:
        """Be one caller."""
        kinds = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]
        while not over.is_set():
            (kind,) = random.choices(kinds, weights)
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    said = await self._kinds[kind][1]()
            except (ConnectionError, asyncio.IncompleteReadError):
                said = "cut"
            except TimeoutError:
                said = "silence"
            self.seen[kind, said] += 1
            await asyncio.sleep(random.random() * 0.02)

    # kinds

    async def _json(self) -> str:
        with self._orgs.one() as (_, token):
            return await self._ask(CHAT, token, random.choice(_SHORT))

    async def _stream(self) -> str:
        with self._orgs.one() as (_, token):
            return await self._ask(CHAT, token, Act.STREAM)

    async def _closed(self) -> str:
        with self._orgs.one() as (_, token):
            return await self._ask(CLOSED, token, Act.OK)

    async def _leased(self) -> str:
        with self._orgs.one() as (_, token):
            return await self._ask(LEASED, token, Act.OK, resource="api_calls")

    async def _broken(self) -> str:
        with self._orgs.one() as (_, token):
            return await self._ask(CHAT, token, random.choice(sorted(BROKEN | {Act.ERROR})))

    async def _upload(self) -> str:
        size = random.randrange(1, FRAGMENT)
        with self._orgs.one() as (_, token):
            return await self._ask(
                UPLOAD, token, Act.OK, method="PUT", body=b"x" * size,
                resource="storage_bytes", units=size,
            )  # fmt: skip

    async def _duplicates(self) -> str:
        request_id = f"twice-{next(self._serial) // 2}"
        with self._orgs.one() as (_, token):
            each = (self._ask(CHAT, token, Act.OK, request_id=request_id) for _ in range(3))
            said = await asyncio.gather(*each, return_exceptions=True)
        return "/".join(sorted({one if isinstance(one, str) else "cut" for one in said}))

    async def _abort(self) -> str:
        act = random.choice([Act.HOLD, Act.SILENT, Act.ENDLESS, Act.STREAM, Act.OK])
        with self._orgs.one() as (_, token):
            request = self._request("POST", CHAT, token, act, self._marker(), b"{}")
            async with self._connection() as client:
                await client.send(request[: random.randrange(1, len(request) + 1)])
                await asyncio.sleep(random.random() * 0.05)
                if random.random() < 0.5 and not client.writer.is_closing():
                    client.reset()
        return "left"

    async def _slow_reader(self) -> str:
        with self._orgs.one() as (_, token):
            request = self._request("POST", CHAT, token, Act.ENDLESS, self._marker(), b"{}")
            async with self._connection(limit=2048) as client:
                await client.send(request)
                for _ in range(10):
                    await client.reader.read(512)
                    await asyncio.sleep(0.02)
        return "left"

    async def _websocket(self) -> str:
        with self._orgs.one() as (_, token):
            request = self._request(
                "GET", CHAT, token, Act.SWITCH, self._marker(), b"",
                "connection: upgrade\r\nupgrade: websocket\r\n",
            )  # fmt: skip
            async with self._connection() as client:
                await client.send(request)
                answer = await client.answer("HEAD")
                if answer.status != 101:
                    return self._refused(answer)
                for word in (b"one", b"two"):
                    await client.send(word)
                    echoed = await client.reader.readexactly(len(word))
                    if echoed != word:
                        self.wrong.append(f"a tunnel turned {word!r} into {echoed!r}")
        return "101"

    # inside

    async def _ask(
        self,
        path: str,
        token: str,
        act: Act,
        *,
        method: str = "POST",
        body: bytes = b"{}",
        resource: str = "ai_calls",
        units: int = 1,
        request_id: str = "",
    ) -> str:
        marker = self._marker()
        more = f"x-resource: {resource}\r\nx-units: {units}\r\n"
        if request_id:
            more += f"x-request-id: {request_id}\r\n"
        async with self._connection() as client:
            await client.send(self._request(method, path, token, act, marker, body, more))
            answer = await client.answer()
        executed = marker in self._product.markers
        if answer.status == 200:
            if answer.body != body_of(marker):
                self.wrong.append(f"{marker}: {answer.body!r} looks whole and is not")
            if not executed:
                self.wrong.append(f"{marker} was answered and never executed")
            if act in BROKEN:
                self.wrong.append(f"{marker}: {act} came as whole")
        elif answer.status in _DENIALS and executed and b"upstream_" not in answer.body:
            self.wrong.append(f"{marker}: {answer.status}, yet executed: {answer.body!r}")
        return self._refused(answer)

    def _refused(self, answer: Answer) -> str:
        mark = answer.values(b"x-quota-decision")
        return " ".join([str(answer.status), *(each.decode() for each in mark)])

    def _marker(self) -> str:
        return f"m{next(self._serial):08}"

    def _request(  # noqa: PLR0917 - the parts of a request, in their order
        self, method: str, path: str, token: str, act: Act, marker: str, body: bytes, more: str = ""
    ) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nhost: notes.example.com\r\ncookie: bb_at={token}\r\n"
            f"x-act: {act}\r\nx-marker: {marker}\r\n{more}content-length: {len(body)}\r\n\r\n"
        ).encode() + body

    @contextlib.asynccontextmanager
    async def _connection(self, limit: int = 1 << 16) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=limit)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
