"""Memory and open files of a sidecar under what could fill them: bounded, and given back.

The sidecar is a process of its own, so that its memory is its own. Bounds are per connection and
generous; what was measured is in docs/limits.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.e2e.harness import CHAT, ORG, policy
from tests.e2e.programs import ProcessStack, process_stack
from tests.e2e.raw_client import RawClient, post
from tests.fakes.obedient_product import Act, ObedientProduct
from tests.resources.measure import FULL, MIB, allow_files, open_files, rss, scaled, settled

pytestmark = pytest.mark.timeout(600)

STREAMS: Final = scaled(2_000)
ABORTS: Final = scaled(10_000)
RELOADS: Final = scaled(200)
AT_ONCE: Final = 50
STREAM_BYTES: Final = 48 * 1024
"""What an idle stream may cost: two connections, their buffers, a task."""

READER_BYTES: Final = 480 * 1024
"""What a client that does not read may cost: what is buffered for it in user space is bounded."""

PLATFORM_CONNECTIONS: Final = 64
"""What the pool to the platform keeps idle for half a minute (`sidecar.app.wiring`)."""

SPARE: Final = 24 * MIB
"""What a process may grow by for reasons of its own: caches, arenas, metric series."""


class Chain:
    """A sidecar as a process, and the product here."""

    def __init__(self, stack: ProcessStack, product: ObedientProduct) -> None:
        self.stack = stack
        self.product = product
        self.token = stack.token()
        self.files = open_files(stack.program.pid) + PLATFORM_CONNECTIONS

    @property
    def rss(self) -> int:
        """The sidecar's memory now."""
        return rss(self.stack.program.pid)

    def request(self, act: Act) -> bytes:
        """Write a request for an act."""
        return post(CHAT, self.token, b"{}", x_act=act)

    async def warm(self, count: int = 300) -> None:
        """Fill caches and pools, so that what grows later grows for its own reason."""
        async with RawClient(self.stack.url) as client:
            for _ in range(count):
                assert (await client.send(self.request(Act.OK))).status == 200

    async def open(self, act: Act, *, window: int | None = None) -> socket.socket:
        """Ask on a connection of its own, whose client reads as little as `window`; return it."""
        host, _, port = self.stack.url.removeprefix("http://").partition(":")
        sock = socket.socket()
        sock.setblocking(False)
        if window is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, int(port)))
        await loop.sock_sendall(sock, self.request(act))
        return sock

    async def open_many(
        self, count: int, act: Act, *, window: int | None = None
    ) -> list[socket.socket]:
        """Open so many, and wait until the sidecar has them all in flight."""
        found: list[socket.socket] = []
        for _ in range(0, count, AT_ONCE):
            more = min(AT_ONCE, count - len(found))
            found += await asyncio.gather(*(self.open(act, window=window) for _ in range(more)))
        for _ in range(600):
            if (await self.stack.metrics()).sum("inflight_requests") == count:
                return found
            await asyncio.sleep(0.05)
        page = await self.stack.metrics()
        raise AssertionError(f"{page.by('requests_total', 'code')}, {page.text[-500:]}")


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    """Run a chain with room for every stream."""
    allow_files(4 * STREAMS + 1_000)
    text = policy(defaults={"platform_timeout": "20s"})
    async with (
        ObedientProduct(keep=False) as product,
        process_stack(
            policy=text,
            orgs={ORG: -1},
            upstream_url=product.url,
            max_connections=STREAMS + 100,
            body_idle_timeout="300s",
            connect_timeout="60s",  # the product is in this process, and busy
        ) as stack,
    ):
        made = Chain(stack, product)
        await made.warm()
        yield made


def told(what: str, grown: int, count: int) -> None:
    """Print what was measured, for docs/limits.md."""
    if FULL:
        each = grown / count / 1024
        print(f"\nMEASURED {what}: {grown / MIB:.1f} MiB, {each:.1f} KiB each")  # noqa: T201


async def test_idle_streams_cost_little(chain: Chain) -> None:
    """A stream that waits for its next event holds two sockets and small change."""
    before = chain.rss
    sockets = await chain.open_many(STREAMS, Act.HOLD)
    grown = chain.rss - before
    told(f"{STREAMS} idle streams", grown, STREAMS)
    assert grown <= SPARE + STREAMS * STREAM_BYTES
    for sock in sockets:
        sock.close()
    await settled(chain.stack, chain.files)


async def test_readers_that_do_not_read_fill_no_memory(chain: Chain) -> None:
    """Behind a full client the product is not read: endless bodies stay where they come from."""
    before = chain.rss
    sockets = await chain.open_many(STREAMS, Act.ENDLESS, window=4096)
    await asyncio.sleep(2.0)
    grown = chain.rss - before
    told(f"{STREAMS} slow readers of endless bodies", grown, STREAMS)
    assert grown <= SPARE + STREAMS * READER_BYTES
    await asyncio.sleep(1.0)
    assert chain.rss - before <= grown + SPARE, "it grows still"
    for sock in sockets:
        sock.close()
    await settled(chain.stack, chain.files)


async def test_aborts_leave_nothing_behind(chain: Chain) -> None:
    """Clients that leave in the middle, wherever that is, leave no socket and no memory."""
    before = chain.rss
    acts = [Act.HOLD, Act.SILENT, Act.ENDLESS, Act.STREAM]

    async def leave(number: int) -> None:
        sock = await chain.open(acts[number % len(acts)])
        await asyncio.sleep((number % 7) / 1000)
        sock.close()

    for start in range(0, ABORTS, AT_ONCE):
        await asyncio.gather(*(leave(start + number) for number in range(AT_ONCE)))
    chain.product.release()
    grown = await settled(chain.stack, chain.files) - before
    told(f"{ABORTS} aborts", grown, ABORTS)
    assert grown <= SPARE


async def test_reloads_leave_nothing_behind(chain: Chain) -> None:
    """Policies replaced under load, half of them bad, are forgotten; no request fails."""
    before = chain.rss
    file = chain.stack.place.policy_file
    good = file.read_text()
    statuses: set[int] = set()
    over = asyncio.Event()

    async def load() -> None:
        async with RawClient(chain.stack.url) as client:
            while not over.is_set():
                statuses.add((await client.send(chain.request(Act.OK))).status)

    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack():
        for _ in range(4):
            group.create_task(load())
        for number in range(RELOADS):
            bad = number % 2
            file.write_text("version: 2\n" if bad else f"# {number}\n{good}")
            answer = await chain.stack.client.post(f"{chain.stack.admin}/reload")
            assert (answer.status_code == 200) is not bool(bad)
        over.set()
    await chain.stack.client.aclose()
    grown = await settled(chain.stack, chain.files) - before
    told(f"{RELOADS} reloads under load", grown, RELOADS)
    assert statuses == {200}
    assert grown <= SPARE
