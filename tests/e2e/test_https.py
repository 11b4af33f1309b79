"""A product and a platform behind TLS: whom the sidecar trusts, and that nothing else changes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.e2e.harness import ORG, policy, surroundings
from tests.e2e.programs import ProcessStack, start_sidecar
from tests.e2e.relay import Relay
from tests.fakes.certificates import loopback_contexts
from tests.fakes.servers import echoing, serving
from tests.plane import staged


@contextlib.asynccontextmanager
async def encrypted(folder: Path, **environ: str) -> AsyncIterator[ProcessStack]:
    """Run a chain whose sidecar reaches everything by https alone, with `environ`."""
    context, _ = loopback_contexts(folder)
    async with contextlib.AsyncExitStack() as owned:
        place, platform, upstream = await owned.enter_async_context(
            surroundings(policy(), {ORG: 25}, environ, None, None)
        )
        to_platform, to_upstream = [
            await owned.enter_async_context(Relay(url, context))
            for url in (platform.url, upstream.url)
        ]
        place.platform_url, place.upstream_url = to_platform.url, to_upstream.url
        program = await start_sidecar(place.flags(), place.environ)
        owned.push_async_callback(program.close)
        s = ProcessStack(place, platform, upstream, [program])
        s.program = program
        owned.push_async_callback(s.client.aclose)
        yield s


async def test_everything_behind_tls(tmp_path: Path) -> None:
    """Keys, consumes, calls and streams pass where SSL_CERT_FILE names who is to be trusted."""
    async with encrypted(tmp_path, SSL_CERT_FILE=str(tmp_path / "loopback.pem")) as s:
        answers = [await s.call() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert answers[-1].headers["ratelimit"].startswith('"ai_calls";r=22;')
        body = {"model": "small", "stream": True, "messages": [{"role": "user", "content": "x"}]}
        streamed = await s.call("/v1/chat/completions", json=body)
        assert streamed.text.rstrip().endswith("data: [DONE]")
        assert (s.charges(), s.executions()) == (4, 4)
        assert {each.header("x-forwarded-proto") for each in s.upstream.executions} == {"http"}


async def test_a_stranger_gets_nothing(tmp_path: Path) -> None:
    """Without it the certificate is nobody's: no key is fetched, and no call gets through."""
    async with encrypted(tmp_path) as s:
        answer: httpx.Response = await s.call("/api/echo", method="GET")
        assert answer.status_code == 502
        assert (await s.call()).status_code == 503
        page = await s.metrics()
        assert page.by("upstream_errors_total", "kind").keys() == {"tls"}
        line = await s.program.line(lambda line: "upstream_unreachable" in line, err=True)
        assert "certificate verify failed" in line
        assert page.sum("jwks_keys") == 0
        assert (s.charges(), s.executions()) == (0, 0)


async def test_an_upgrade_goes_through_tls(tmp_path: Path) -> None:
    """A WebSocket of an https product: both ways, what came with the heads included."""
    ours, theirs = loopback_contexts(tmp_path)
    switch = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello "
    upgrade = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with (
        serving(echoing(switch), ours) as server,
        staged(upstream=server.origin, context=theirs) as stage,
        stage.client() as client,
    ):
        await client.send(upgrade + b"early ")
        assert (await client.answer()).status == 101
        assert await client.reader.readexactly(12) == b"hello early "
        await client.send(b"bye")
        assert await client.rest() == b""
