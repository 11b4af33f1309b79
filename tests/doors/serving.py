"""A product with a door inside, served by a real server as a process of its own."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from signal import SIGTERM
from typing import Any, Final

import httpx

from sidecar.local_platform.server import LocalPlatform
from tests.e2e.harness import ORG, Orgs, Place, eventually, policy, surroundings
from tests.e2e.programs import Program, start
from tests.free_ports import free_port

NOWHERE: Final = "http://127.0.0.1:9"
PRODUCTS: Final = ("starlette", "fastapi", "litestar", "quart", "django")
SERVERS: Final = ("uvicorn", "hypercorn", "granian")

POLICY: Final = policy(
    defaults={"refund": "failed"},
    routes=[
        {
            "name": "batch",
            "match": {"path": "/api/v1/batch"},
            "meter": {"amount": {"json": "/n", "default": 1, "max": 16}, "body_limit": 4096},
        },
        {
            "name": "usage",
            "match": {"path": "/api/v1/usage"},
            "meter": {"usage": {"format": {"json": "/body"}}},
        },
        {"name": "closed", "match": {"path": "/api/v1/closed"}, "action": "deny"},
    ],
)


def command(server: str, target: str, port: int, workers: int = 1) -> list[str]:
    """Return the command that serves `target` on a port."""
    match server:
        case "uvicorn":
            more = ["--port", str(port), "--workers", str(workers), "--log-level", "warning"]
        case "hypercorn":
            more = ["--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        case "granian":
            more = ["--interface", "asgi", "--port", str(port), "--workers", str(workers)]
        case _:
            raise ValueError(server)
    return [sys.executable, "-m", server, *more, target]


class Served:
    """A product that is served, its platform, and a client."""

    def __init__(self, place: Place, platform: LocalPlatform, process: Program, url: str) -> None:
        self.place = place
        self.platform = platform
        self.process = process
        self.url = url
        # Servers close a connection whose handler has raised: each call has its own.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.AsyncClient(base_url=url, timeout=20.0, limits=limits)

    def cookie(self, org: str = ORG) -> dict[str, str]:
        """Return the header that carries a `bb_at`."""
        return {"cookie": f"bb_at={self.platform.mint_token(org)}"}

    def charges(self, org: str | None = ORG) -> int:
        """Return the units that the platform has counted; of all orgs for None."""
        return sum(each.amount for each in self.platform.consumes(org))

    async def call(
        self, path: str = "/api/v1/chat", method: str = "POST", org: str | None = ORG, **more: Any
    ) -> httpx.Response:
        """Send one request."""
        headers = {**(self.cookie(org) if org else {}), **more.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **more)

    def another(self, workers: int) -> contextlib.AbstractAsyncContextManager[Served]:
        """Serve the product once more, in the same place."""
        return _running("starlette", "uvicorn", self.place, self.platform, workers)

    async def end(self) -> None:
        """Stop the server as its operator would; its workers end with it."""
        await stopped(self.process)

    async def ran(self) -> Counter[str]:
        """Return how often each handler has run."""
        answer = await self.client.get("/ran")
        return Counter(json.loads(answer.text))


@contextlib.asynccontextmanager
async def served(
    product: str = "starlette",
    server: str = "uvicorn",
    *,
    policy: str = POLICY,
    orgs: Orgs | None = None,
    environ: Mapping[str, str] | None = None,
    workers: int = 1,
) -> AsyncIterator[Served]:
    """Serve a product of tests/doors/products; its door gets its settings from variables."""
    async with (
        surroundings(policy, orgs, environ, None, NOWHERE) as (place, platform, _),
        _running(product, server, place, platform, workers) as running,
    ):
        yield running


@contextlib.asynccontextmanager
async def _running(
    product: str, server: str, place: Place, platform: LocalPlatform, workers: int
) -> AsyncIterator[Served]:
    port = free_port()
    process = await start(
        *command(server, f"tests.doors.products.{product}_app:app", port, workers),
        environ=environ_of(place),
    )
    running = Served(place, platform, process, f"http://127.0.0.1:{port}")
    try:
        await answering(process, f"{running.url}/ran")
        yield running
    finally:
        await running.client.aclose()
        await stopped(process)


def environ_of(place: Place) -> dict[str, str]:
    """Return the variables that a product is started with."""
    return {
        **place.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SIDECAR_POLICY": str(place.policy_file),
        "PLATFORM_API_URL": place.platform_url,
        "AUTH_SERVICE_URL": place.platform_url,
        "SIDECAR_ISSUER": place.issuer,
    }


async def stopped(process: Program) -> None:
    """End a process as its operator would, so that its workers end too; at once if it hangs."""
    try:
        if process.running:
            process.send(SIGTERM)
            await process.ended(20.0)
    finally:
        await process.close()


async def answering(process: Program, url: str, status: int = 200) -> None:
    """Wait until a process answers with a status."""

    async def answers() -> bool:
        assert process.running, process.err
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(url)).status_code == status
        return False

    async with httpx.AsyncClient() as client:
        await eventually(answers, bool, seconds=30.0)
