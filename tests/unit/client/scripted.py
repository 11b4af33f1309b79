"""A platform that plays one step for each request it gets, over whichever connection it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from typing_extensions import override

from sidecar.domain.model import Charge
from sidecar.domain.quota import Failed, Outcome
from sidecar.http1.client import ClientConnection
from sidecar.http1.dialling import DialOrigin
from sidecar.http1.pool import Pool, PoolLimits
from sidecar.platform.breaker import Breaker
from sidecar.platform.consume import Consumer
from tests.fakes.servers import ScriptedServer, Visit, serving

CHARGE = Charge("org_acme", "acme-notes", "ai_calls", 2, "key-1", private=True)
RESET_AT = "2099-01-01T00:00:00Z"

T = TypeVar("T")
Step = Callable[[Visit], Awaitable[None]]


@dataclass
class Asked:
    """A request that the platform got."""

    head: str
    body: dict[str, Any]


class Heard(list[T]):
    """A list that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    @override
    def append(self, item: T) -> None:
        """Add an item, and wake who waits."""
        super().append(item)
        self._grown.set()

    async def reach(self, count: int) -> None:
        """Wait until there are so many."""
        async with asyncio.timeout(5):
            while len(self) < count:
                self._grown.clear()
                await self._grown.wait()


class Ears:
    """`PlatformObserver` that keeps the outcomes it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.causes: list[tuple[str, str]] = []

    def consume_finished(self, outcome: str, seconds: float) -> None:
        """Keep the outcome."""
        assert seconds >= 0
        self.told.append(outcome)

    def consume_failed(self, failed: Failed) -> None:
        """Keep the cause."""
        self.causes.append((failed.cause, failed.detail))


@dataclass
class Bench:
    """A consumer, the platform it asks, and what was told of both."""

    consumer: Consumer
    breaker: Breaker
    pool: SwitchedPool
    server: ScriptedServer
    key: list[str]
    told: list[str]
    causes: list[tuple[str, str]]
    asked: Heard[Asked]
    orphans: Heard[Outcome] = field(default_factory=Heard)

    async def consume(self, timeout: float = 5.0, charge: Charge = CHARGE) -> Outcome:
        """Consume once."""
        return await self.consumer.consume(charge, timeout=timeout, orphaned=self.orphans.append)

    def begin(self, timeout: float = 5.0) -> asyncio.Task[Outcome]:
        """Consume in a task, which a test may cancel."""
        return asyncio.ensure_future(self.consume(timeout))

    async def orphaned(self) -> Outcome:
        """Wait for the outcome of a consume whose caller is gone."""
        await self.orphans.reach(1)
        [outcome] = self.orphans
        return outcome


class SwitchedPool(Pool):
    """A pool that, while `stuck`, connects for ever; `waited` tells that somebody waits."""

    stuck = False

    def __init__(self, origin: DialOrigin, limits: PoolLimits) -> None:
        super().__init__(origin, limits)
        self.waited = asyncio.Event()

    @override
    async def connect(self, *, reserved: bool = False) -> ClientConnection:
        """Connect, or wait for ever."""
        if self.stuck:
            self.waited.set()
            await asyncio.Event().wait()
        return await super().connect(reserved=reserved)


def body(**changed: Any) -> bytes:
    """Write the answer of a platform that counted, or with fields changed."""
    fields = {
        "allowed": True,
        "used": 12,
        "limit": 25,
        "remaining": 13,
        "resource": "ai_calls",
        "period": "month",
        "reset_at": RESET_AT,
    }
    return orjson.dumps({**fields, **changed})


def http(content: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """Write an answer with a length."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def sending(*pieces: bytes, close: bool = False) -> Step:
    """Send these bytes, each by itself."""

    async def step(visit: Visit) -> None:
        for piece in pieces:
            visit.writer.write(piece)
            await asyncio.sleep(0)
        if close:
            visit.writer.close()

    return step


def granting() -> Step:
    """Answer that the units were counted."""
    return sending(http(body()))


async def cutting(visit: Visit) -> None:
    """Reset the connection without an answer."""
    visit.reset()


async def silent(visit: Visit) -> None:
    """Say nothing, until the other side gives up."""
    await visit.reader.read()


def waiting_for(event: asyncio.Event, then: Step) -> Step:
    """Play a step when the test says so."""

    async def step(visit: Visit) -> None:
        await event.wait()
        await then(visit)

    return step


@contextlib.asynccontextmanager
async def bench(*steps: Step, threshold: int = 5, first_pause: float = 1.0) -> AsyncIterator[Bench]:
    """Run a platform that plays these steps, one for each request, and a consumer that asks it."""
    asked: Heard[Asked] = Heard()
    left: Iterator[Step] = iter(steps)

    async def play(visit: Visit) -> None:
        while True:
            head = (await visit.head()).decode()
            length = int(head.lower().partition("content-length:")[2].split()[0])
            asked.append(Asked(head, orjson.loads(await visit.reader.readexactly(length))))
            await next(left)(visit)

    async with serving(play) as server:
        breaker = Breaker(jitter=lambda: 1.0, threshold=threshold, first_pause=first_pause)
        pool = SwitchedPool(server.origin, PoolLimits(connections=8))
        key = ["bbas_one"]
        ears = Ears()
        consumer = Consumer(
            pool, key=lambda: key[0], breaker=breaker, observer=ears, agent="bb-sidecar/test"
        )
        try:
            yield Bench(consumer, breaker, pool, server, key, ears.told, ears.causes, asked)
        finally:
            await consumer.close()
