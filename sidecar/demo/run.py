"""`bb-sidecar demo`: the local platform, a small product and the sidecar in one process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import aiohttp
import uvloop

from sidecar.app.open_files import raise_limit
from sidecar.app.wiring import App
from sidecar.demo.upstream import DemoUpstream
from sidecar.local_platform.seeds import Seed
from sidecar.local_platform.server import LocalPlatform
from sidecar.settings.run import Settings
from sidecar.settings.secret import parse_key
from sidecar.settings.sections import (
    AdminSettings,
    ListenSettings,
    PlatformSettings,
    PolicySettings,
    UpstreamSettings,
)
from sidecar.settings.values import Address, parse_origin
from sidecar.telemetry.logs import setup_logging

_ORG: Final = "org_acme"
_SPENT_ORG: Final = "org_globex"
_KEY: Final = "bbas_demo_acme_notes"
_HOUR: Final = 3600

_SPENT_UNITS: Final = 3
_AGREE: Final = f"the same, with the {_SPENT_UNITS} that {_SPENT_ORG} spent"

SEED: Final = {
    "products": [{"slug": "acme-notes", "key": _KEY}],
    "orgs": [
        {
            "id": _ORG,
            "plan": "pro",
            "apps": ["acme-notes"],
            "quotas": {"ai_calls": 25, "api_calls": -1},
            "keys": [{"key": "bbk_demo_acme", "product": "acme-notes"}],
        },
        {
            "id": _SPENT_ORG,
            "plan": "free",
            "apps": ["acme-notes"],
            "quotas": {"ai_calls": _SPENT_UNITS},
        },
    ],
}
"""Two orgs: one with units left, one that the demo lets spend all it has."""


@dataclass(frozen=True, slots=True)
class DemoPorts:
    """Where the demo listens; 0 takes a free port."""

    sidecar: int = 0
    admin: int = 0
    platform: int = 0
    upstream: int = 0


def demo(args: argparse.Namespace, _environ: object) -> int:
    """Run until Ctrl-C; return the exit status."""
    raise_limit()
    setup_logging("warning", "text")
    uvloop.run(_demo(DemoPorts(args.port, args.admin_port, args.platform_port, args.upstream_port)))
    return 0


async def _demo(ports: DemoPorts) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    platform = LocalPlatform(seed=Seed.model_validate(SEED))
    upstream = DemoUpstream(pace=0.3)
    async with AsyncExitStack() as running:  # what was started is stopped, a failed start too
        policy = running.enter_context(as_file(files("sidecar.demo") / "policy.yaml"))
        await platform.start("127.0.0.1", ports.platform)
        running.push_async_callback(platform.close)
        await upstream.start("127.0.0.1", ports.upstream)
        running.push_async_callback(upstream.close)
        app = App(_settings(policy, platform.url, upstream.url, ports), {})
        running.push_async_callback(app.stop, drain_seconds=2.0)
        await app.start()
        spent = platform.mint_token(_SPENT_ORG, ttl=_HOUR)
        await _spend(app.url, spent)
        token = platform.mint_token(_ORG, ttl=_HOUR)
        for line in _introduction(app, platform.url, upstream.url, token, spent):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        await stop.wait()


def _settings(policy: Path, platform: str, upstream: str, ports: DemoPorts) -> Settings:
    origin = parse_origin(platform)
    return Settings(
        policy=PolicySettings(file=policy),
        upstream=UpstreamSettings(origin=parse_origin(upstream)),
        listen=ListenSettings(host="127.0.0.1", port=ports.sidecar),
        admin=AdminSettings(address=Address("127.0.0.1", ports.admin)),
        platform=PlatformSettings(api=origin, auth=origin, key=parse_key(_KEY)),
    )


async def _spend(url: str, token: str) -> None:
    """Let the second org spend its quota, through the sidecar like any caller."""
    async with aiohttp.ClientSession(headers={"cookie": f"bb_at={token}"}) as session:
        for _ in range(_SPENT_UNITS):
            async with session.post(f"{url}/api/v1/chat", json={"message": "hello"}):
                pass


def _introduction(app: App, platform: str, upstream: str, token: str, spent: str) -> Iterator[str]:
    body = '{"model":"small","messages":[{"role":"user","content":"hello"}]}'
    stream = '{"model":"small","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    words = '{"messages":[{"role":"user","content":"What does a sidecar do for me"}]}'
    content = "-H 'content-type: application/json'"
    send = f"{app.url}/v1/chat/completions {content}"
    by_tokens = f"{app.url}/api/v1/chat/completions {content}"
    as_org = '-H "Cookie: bb_at=$TOKEN"'
    yield f"sidecar         {app.url}"
    yield f"  in front of   {upstream}  (a small AI-like product)"
    yield f"  admin         {app.admin_url}  (/ready /metrics /policy /quota)"
    yield f"local platform  {platform}  (API and auth host; what was counted: /_control/consumes)"
    yield f"  in a browser  {platform}/  (orgs, quotas, the latest consumes and deliveries)"
    yield f"orgs            {_ORG} has 25 AI calls this month, {_SPENT_ORG} has spent its 3"
    yield ""
    yield "The callers' tokens, for the lines below:"
    yield ""
    yield f"export TOKEN={token}"
    yield f"export SPENT={spent}"
    yield ""
    yield "1. An allowed call, with RateLimit headers:"
    yield ""
    yield f"curl -si {send} {as_org} -d '{body}'"
    yield ""
    yield "2. A stream, event by event:"
    yield ""
    yield f"curl -sN {send} {as_org} -d '{stream}'"
    yield ""
    yield "3. A call over quota, refused before the product is touched:"
    yield ""
    yield f"curl -si {app.url}/api/v1/chat {as_org.replace('TOKEN', 'SPENT')} -d '{{}}'"
    yield ""
    yield "Units that the sidecar admitted and that calls cost beyond them, and charges that the"
    yield f"platform counted: {_AGREE}"
    yield ""
    yield f"curl -s {app.admin_url}/metrics | grep -E '^bb_sidecar_(units|settled_units)_total'"
    yield f"curl -s {platform}/_control/consumes"
    yield ""
    yield "4. A call charged by its tokens: (7 in + 4 x 9 out) / 10 = 4.3 units. One is charged"
    yield "   before it runs, three after its answer, and 0.3 is carried to the org's next call:"
    yield ""
    yield f"curl -si {by_tokens} {as_org} -d '{words}'"
    yield ""
    yield f"   What is left then: curl -s {app.admin_url}/quota"
    yield ""
    yield "Ctrl-C ends all."
