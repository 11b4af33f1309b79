"""A product that answers by plan behind any door, each of which is a process of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from sidecar.local_platform.server import LocalPlatform
from tests.doors.envoys import behind_envoy
from tests.doors.forwarding import asked
from tests.doors.products.notes import read_notes
from tests.doors.serving import answering, environ_of, served, stopped
from tests.e2e.harness import Orgs, Page, eventually, surroundings
from tests.e2e.programs import process_stack, redis, start
from tests.free_ports import free_port
from tests.soak.settled_plans import Plan
from tests.soak.settled_product import Execution, SettledProduct

SEE_ANSWERS: Final = ("proxy", "asgi", "aiohttp", "ext_proc")
"""Doors that settle by usage."""

FORWARD_AUTH: Final = ("nginx", "envoy")
"""Programs that ask `authz`, and forward by themselves."""

OVER_GRPC: Final = ("ext_authz",)
"""How Envoy asks `authz` over gRPC."""

AT_REST: Final = ("journal_pending_units", "held_units")


@dataclass
class Planned:
    """A product behind a door, and the platform that the door asks."""

    platform: LocalPlatform
    url: str
    metrics_url: str
    notes: Callable[[dict[str, Plan]], Awaitable[dict[str, Execution]]]
    stop: Callable[[], Awaitable[None]]
    """End the door as its operator would: it keeps what it has in its journal."""

    async def fault(self, **faults: Any) -> None:
        """Replace the platform's faults; none given clears them."""
        async with httpx.AsyncClient(base_url=self.platform.url) as client:
            (await client.put("/_control/faults", json=faults)).raise_for_status()

    async def page(self) -> Page:
        """Scrape the door's metrics."""
        async with httpx.AsyncClient() as client:
            return Page((await client.get(self.metrics_url)).text)

    async def rest(self, seconds: float = 60.0) -> Page:
        """Wait until nothing is held or owed; return the scrape that says so."""

        def rests(page: Page) -> bool:
            return not any(page.sum(name) for name in AT_REST)

        return await eventually(self.page, rests, seconds=seconds)

    async def call(
        self, path: str, plan: Plan, org: str, body: Mapping[str, Any], **fields: str
    ) -> httpx.Response:
        """Make one call."""
        headers = {
            "cookie": f"bb_at={self.platform.mint_token(org)}",
            "x-plan": orjson.dumps(plan).decode(),
            **fields,
        }
        async with httpx.AsyncClient(base_url=self.url, timeout=20.0) as client:
            return await client.post(path, content=orjson.dumps(body), headers=headers)


@contextlib.asynccontextmanager
async def planned(door: str, policy: str, orgs: Orgs, folder: Path) -> AsyncIterator[Planned]:
    """Run the product behind a door, with a journal in the folder."""
    journal = str(folder / "journal")
    async with contextlib.AsyncExitStack() as owned:
        match door:
            case "proxy":
                made = await _at_the_proxy(owned, policy, orgs, journal)
            case "asgi":
                environ = {"SIDECAR_JOURNAL": journal}
                at = served("planned", policy=policy, orgs=orgs, environ=environ)
                running = await owned.enter_async_context(at)
                made = _in_process(running.platform, running.url, running.end)
            case "aiohttp":
                made = await _at_aiohttp(owned, policy, orgs, journal)
            case "ext_authz" | "ext_proc":
                made = await _behind_envoy(owned, door, policy, orgs, folder)
            case _:
                made = await _at_forward_auth(owned, door, policy, orgs, folder)
        yield made


def _in_process(platform: LocalPlatform, url: str, stop: Callable[[], Awaitable[None]]) -> Planned:
    async def notes(plans: dict[str, Plan]) -> dict[str, Execution]:
        async with httpx.AsyncClient() as client:
            return read_notes((await client.get(f"{url}/executions")).content, plans)

    return Planned(platform, url, f"{url}/metrics", notes, stop)


def _before(
    product: SettledProduct,
) -> Callable[[dict[str, Plan]], Awaitable[dict[str, Execution]]]:
    async def notes(_: dict[str, Plan]) -> dict[str, Execution]:
        return product.executions

    return notes


async def _at_the_proxy(
    owned: contextlib.AsyncExitStack, policy: str, orgs: Orgs, journal: str
) -> Planned:
    product = await owned.enter_async_context(SettledProduct())
    at = process_stack(policy=policy, orgs=orgs, upstream_url=product.url, journal=journal)
    s = await owned.enter_async_context(at)

    async def stop() -> None:
        await stopped(s.program)

    url = s.program.url
    return Planned(s.platform, url, f"{s.program.admin_url}/metrics", _before(product), stop)


async def _at_aiohttp(
    owned: contextlib.AsyncExitStack, policy: str, orgs: Orgs, journal: str
) -> Planned:
    environ = {"SIDECAR_JOURNAL": journal}
    place, platform, _ = await owned.enter_async_context(
        surroundings(policy, orgs, environ, None, "http://127.0.0.1:9")
    )
    port = free_port()
    module = "tests.doors.products.planned_aiohttp"
    process = await start(sys.executable, "-m", module, str(port), environ=environ_of(place))
    owned.push_async_callback(stopped, process)
    url = f"http://127.0.0.1:{port}"
    await answering(process, f"{url}/ran")

    async def stop() -> None:
        await stopped(process)

    return _in_process(platform, url, stop)


async def _at_forward_auth(
    owned: contextlib.AsyncExitStack, program: str, policy: str, orgs: Orgs, folder: Path
) -> Planned:
    product = await owned.enter_async_context(SettledProduct())
    at = asked(
        program, folder, policy, orgs=orgs, product_url=product.url,
        flags={"journal": folder / "journal"},
    )  # fmt: skip
    a = await owned.enter_async_context(at)

    async def stop() -> None:
        await stopped(a.authz)

    url = str(a.client.base_url).rstrip("/")
    return Planned(a.platform, url, f"{a.admin_url}/metrics", _before(product), stop)


async def _behind_envoy(
    owned: contextlib.AsyncExitStack, door: str, policy: str, orgs: Orgs, folder: Path
) -> Planned:
    """With Redis for ext_proc: Envoy's request IDs are believed, and nothing is given back else."""
    product = await owned.enter_async_context(SettledProduct())
    environ = {}
    if door == "ext_proc":
        path = await owned.enter_async_context(redis(folder, "secret"))
        environ["REDIS_URL"] = f"unix://{path}?password=secret"
    at = behind_envoy(
        door, folder, text=policy, orgs=orgs, product_port=int(product.url.rpartition(":")[2]),
        flags=("--journal", str(folder / "journal")), environ=environ,
    )  # fmt: skip
    b = await owned.enter_async_context(at)

    async def stop() -> None:
        await stopped(b.authz)

    url = str(b.client.base_url).rstrip("/")
    return Planned(b.platform, url, f"{b.authz.admin_url}/metrics", _before(product), stop)
