"""Holds of several sidecars with one Redis: they do not overshoot, and none locks an org."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGKILL

import orjson
import pytest

from tests.e2e.harness import ORG, Stack, eventually, policy, scrape, stack
from tests.e2e.programs import process_stack
from tests.redis_server import redis_server, wait_for_redis

PATH = "/v1/chat/completions"
LIMIT = 100
HOLD = {"json": "/max_tokens", "default": 1, "max": 1000}
USAGE = {"format": "openai", "per": 1, "weights": {"input": 0}, "hold": HOLD}
ROUTE = {
    "name": "chat",
    "match": {"path": PATH},
    "meter": {"platform_timeout": "1s", "usage": USAGE},
}
METERED = policy(routes=[ROUTE])


class Product:
    """Makes as many tokens as a call announces; none answers while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.made: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                tokens = orjson.loads(await reader.readexactly(length))["max_tokens"]
                self.made.append(tokens)
                await self.gate.wait()
                usage = {"prompt_tokens": 1, "completion_tokens": tokens}
                body = orjson.dumps({"model": "m", "usage": usage})
                kind = b"content-type: application/json\r\n"
                writer.write(
                    b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (kind, len(body), body)
                )
        writer.transport.abort()


@contextlib.asynccontextmanager
async def product() -> AsyncIterator[tuple[Product, str]]:
    """Run one; yield it with its URL."""
    made = Product()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, backlog=512)
    try:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        made.gate.set()
        server.close()


async def ask(s: Stack, url: str, tokens: int) -> int:
    """Make a call that costs what it announces."""
    body = {"model": "m", "max_tokens": tokens}
    answer = await s.client.post(f"{url}{PATH}", json=body, headers=s.cookie(), timeout=120.0)
    return answer.status_code


async def test_calls_at_once_over_two_replicas_do_not_overshoot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limit 100, 64 calls of 1 to 30 at once, again and again until nothing passes."""
    wait_for_redis(monkeypatch)
    async with (
        redis_server(tmp_path) as server,
        product() as (made, url),
        stack(
            policy=METERED, orgs={ORG: LIMIT}, upstream_url=url, replicas=2, redis=server.url
        ) as s,
    ):
        answers: Counter[int] = Counter()
        for turn in range(4):
            urls = [sidecar.url for sidecar in s.sidecars]
            answers.update(
                await asyncio.gather(
                    *(ask(s, urls[n % 2], 1 + (7 * n + turn) % 30) for n in range(64))
                )
            )
        pages = [
            await eventually(
                lambda each=each: s.metrics_of(each),  # type: ignore[misc]
                lambda p: not p.sum("held_units") + p.sum("journal_pending_units"),
            )
            for each in s.sidecars
        ]
        overrun = sum(page.sum("settled_units_total", outcome="overrun") for page in pages)
        unused = sum(page.sum("credits_units") for page in pages)
        assert set(answers) == {200, 429}
        assert LIMIT - 30 <= sum(made.made) <= LIMIT
        assert s.charges() - unused + overrun == sum(made.made)


async def test_holds_of_a_killed_replica_vanish_and_those_of_a_long_call_stay(
    tmp_path: Path,
) -> None:
    """A call of 60 runs longer than a hold is believed; then its sidecar is killed."""
    async with (
        redis_server(tmp_path) as server,
        product() as (made, url),
        process_stack(policy=METERED, orgs={ORG: LIMIT}, upstream_url=url, redis=server.url) as s,
    ):
        other = await s.restart(redis=server.url)
        made.gate.clear()
        running = asyncio.ensure_future(ask(s, s.program.url, 60))
        try:
            await eventually(lambda: scrape(s.program.admin_url), lambda p: p.sum("held_units") > 0)
            for _ in range(12):
                assert await ask(s, other.url, 60) == 429
                await asyncio.sleep(1.0)
            s.program.send(SIGKILL)
            await s.program.ended()
            made.gate.set()
            await eventually(lambda: ask(s, other.url, 60), lambda status: status == 200)
        finally:
            running.cancel()
            await other.close()


async def test_calls_go_on_while_redis_is_away(tmp_path: Path) -> None:
    """Each replica then knows its own holds alone."""
    async with (
        redis_server(tmp_path) as server,
        product() as (_, url),
        stack(
            policy=METERED, orgs={ORG: LIMIT}, upstream_url=url, replicas=2, redis=server.url
        ) as s,
    ):
        urls = [sidecar.url for sidecar in s.sidecars]
        assert [await ask(s, url, 5) for url in urls] == [200, 200]
        await server.stop()
        assert [await ask(s, url, 5) for url in urls] == [200, 200]
