"""`bb-sidecar demo`: the local platform, a small product and the sidecar in one process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
import uvloop

from sidecar.app.open_files import raise_limit
from sidecar.app.wiring import App
from sidecar.demo.introduction import ORG, SPENT_ORG, SPENT_UNITS, DemoPlace, introduction
from sidecar.demo.metered import FastApiProduct, InsideSettings, aiohttp_product
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

_KEY: Final = "bbas_demo_acme_notes"
_HOUR: Final = 3600
_PACE: Final = 0.3
"""Seconds between two events of a stream."""

SEED: Final = {
    "products": [{"slug": "acme-notes", "key": _KEY}],
    "orgs": [
        {
            "id": ORG,
            "plan": "pro",
            "apps": ["acme-notes"],
            "quotas": {"ai_calls": 25, "api_calls": -1},
            "keys": [{"key": "bbk_demo_acme", "product": "acme-notes"}],
        },
        {
            "id": SPENT_ORG,
            "plan": "free",
            "apps": ["acme-notes"],
            "quotas": {"ai_calls": SPENT_UNITS},
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


class DemoDoor(StrEnum):
    """Where the demo's quota is checked."""

    PROXY = "proxy"
    ASGI = "asgi"
    AIOHTTP = "aiohttp"


def demo(args: argparse.Namespace, _environ: object) -> int:
    """Run until Ctrl-C; return the exit status."""
    raise_limit()
    setup_logging("warning", "text")
    ports = DemoPorts(args.port, args.admin_port, args.platform_port, args.upstream_port)
    uvloop.run(_demo(ports, DemoDoor(args.door)))
    return 0


async def _demo(ports: DemoPorts, door: DemoDoor = DemoDoor.PROXY) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    platform = LocalPlatform(seed=Seed.model_validate(SEED))
    async with AsyncExitStack() as running:  # what was started is stopped, a failed start too
        policy = running.enter_context(as_file(files("sidecar.demo") / "policy.yaml"))
        await platform.start("127.0.0.1", ports.platform)
        running.push_async_callback(platform.close)
        if door is DemoDoor.PROXY:
            at = await _sidecar(running, policy, platform.url, ports)
        else:
            at = await _middleware(running, policy, platform.url, ports.sidecar, door)
        spent = platform.mint_token(SPENT_ORG, ttl=_HOUR)
        await _spend(at.url, spent)
        token = platform.mint_token(ORG, ttl=_HOUR)
        sys.stdout.write(introduction(at, token, spent))
        sys.stdout.flush()
        await stop.wait()


async def _sidecar(
    running: AsyncExitStack, policy: Path, platform: str, ports: DemoPorts
) -> DemoPlace:
    upstream = DemoUpstream(pace=_PACE)
    await upstream.start("127.0.0.1", ports.upstream)
    running.push_async_callback(upstream.close)
    app = App(_settings(policy, platform, upstream.url, ports), {})
    running.push_async_callback(app.stop, drain_seconds=2.0)
    await app.start()
    what = (
        f"sidecar         {app.url}",
        f"  in front of   {upstream.url}  (a small AI-like product)",
        f"  admin         {app.admin_url}  (/ready /metrics /policy /quota)",
    )
    left = f"curl -s {app.admin_url}/quota"
    return DemoPlace(app.url, f"{app.admin_url}/metrics", what, platform, left=left)


async def _middleware(
    running: AsyncExitStack, policy: Path, platform: str, port: int, door: DemoDoor
) -> DemoPlace:
    folder = Path(running.enter_context(TemporaryDirectory(prefix="bb-demo-")))
    key_file = folder / "key"
    key_file.write_text(_KEY)
    settings = InsideSettings(policy, platform, key_file)
    product: DemoUpstream | FastApiProduct
    if door is DemoDoor.AIOHTTP:
        product, server = aiohttp_product(settings, pace=_PACE), "aiohttp"
    else:
        product, server = FastApiProduct(settings), "FastAPI under uvicorn"
    running.push_async_callback(product.close)
    await product.start("127.0.0.1", port)
    what = (
        f"product         {product.url}  (a small AI-like product)",
        f"  runs on       {server}, with the middleware inside; no sidecar is before it",
        f"  metrics       {product.url}/metrics",
    )
    return DemoPlace(product.url, f"{product.url}/metrics", what, platform, names_costs=True)


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
        for _ in range(SPENT_UNITS):
            async with session.post(f"{url}/api/v1/chat", json={"message": "hello"}):
                pass
