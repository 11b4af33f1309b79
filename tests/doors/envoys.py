"""A real Envoy that asks `bb-sidecar authz` over gRPC, by the configurations of the docs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from sidecar.local_platform.server import LocalPlatform
from tests.doors.serving import answering, stopped
from tests.e2e.harness import ORG, Orgs, Place, policy, soon, surroundings
from tests.e2e.programs import SIDECAR, Program, SidecarProgram, start
from tests.fakes.recording_product import RecordingProduct
from tests.free_ports import free_port

PAGE: Final = Path(__file__).parents[2] / "docs" / "envoy.md"
_CHECKED: Final = "      health_checks:\n"
_FILTER: Final = "                  - name: envoy.filters.http."
_ROUTER: Final = f"{_FILTER}router\n"


def configuration(heading: str) -> str:
    """Return what the page prints for a door, or for something else."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    found = re.search(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1] if heading != "ext_proc" else _with_filter(found[1])


def _with_filter(asking: str) -> str:
    """Put a filter in the place of ext_authz, as the page says."""
    config = configuration("ext_authz").replace("filters.http.ext_authz)", "filters.http.ext_proc)")
    before, _, rest = config.partition(f"{_FILTER}ext_authz\n")
    return f"{before}{asking}{_ROUTER}{rest.partition(_ROUTER)[2]}"


def with_ports(text: str, ports: Mapping[int, int]) -> str:
    """Replace ports."""
    for old, new in ports.items():
        text = re.sub(rf"\b{old}\b", str(new), text)
    return text


class BehindEnvoy:
    """An Envoy before a product, with an authz beside it."""

    def __init__(
        self, place: Place, platform: LocalPlatform, product: RecordingProduct, flags: Sequence[str]
    ) -> None:
        self.place = place
        self.platform = platform
        self.product = product
        self.port = free_port()
        self.http_port = free_port()
        self.grpc_port = free_port()
        self.authz: SidecarProgram
        self.envoy: Program
        self._flags = flags
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20.0)

    async def start_authz(self) -> None:
        """Start it, also once more in the same place."""
        place = self.place
        given = {
            "policy": place.policy_file, "http": f"127.0.0.1:{self.http_port}",
            "grpc": f"127.0.0.1:{self.grpc_port}", "admin": "127.0.0.1:0",
            "platform-url": place.platform_url, "auth-url": place.platform_url,
            "issuer": place.issuer,
        }  # fmt: skip
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        started = await start(
            *SIDECAR, "authz", *words, *self._flags, environ=place.environ, kind=SidecarProgram
        )
        assert isinstance(started, SidecarProgram)
        self.authz = started
        started.admin_url = (await started.event("started"))["admin"]

    async def close_authz(self) -> None:
        """End the one that runs now."""
        await self.authz.close()

    def cookie(self, org: str = ORG) -> dict[str, str]:
        """Return the header that carries a `bb_at`."""
        return {"cookie": f"bb_at={self.platform.mint_token(org)}"}

    def charges(self, org: str | None = ORG) -> int:
        """Return what the platform has counted."""
        return sum(each.amount for each in self.platform.consumes(org))

    async def call(self, path: str = "/api/v1/chat", method: str = "POST", **more: Any) -> Any:
        """Send one request with the caller's token."""
        headers = {**self.cookie(), **more.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **more)

    async def calls(self, count: int, at_once: int = 8) -> list[int]:
        """Send many requests; return their statuses, 0 where a connection broke."""
        statuses: list[int] = []

        async def one_after_another(share: int) -> None:
            for _ in range(share):
                try:
                    statuses.append((await self.call(json={"message": "hello"})).status_code)
                except httpx.TransportError:
                    statuses.append(0)

        share, rest = divmod(count, at_once)
        shares = [share + (number < rest) for number in range(at_once)]
        await asyncio.gather(*(one_after_another(each) for each in shares))
        return statuses

    async def logged(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many lines of Envoy's access log; return them."""
        lines = await soon(
            lambda: [json.loads(line) for line in self.envoy.out if line.startswith("{")],
            lambda found: len(found) >= count,
        )
        return lines[:count]


@contextlib.asynccontextmanager
async def behind_envoy(
    door: str,
    folder: Path,
    *,
    text: str = policy(),
    orgs: Orgs | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    replaced: Mapping[str, str] | None = None,
    duplicated: bool = False,
    inserted: str = "",
    ready: int = 401,
    product_port: int | None = None,
) -> AsyncIterator[BehindEnvoy]:
    """Run all of it.

    `replaced`: what differs from the configuration that is printed. `duplicated`: with the filter
    that asks twice. `inserted`: more of the cluster that is asked.
    `ready`: the status for an unknown caller, once all of it runs.
    """
    async with contextlib.AsyncExitStack() as owned:
        place, platform, product = await owned.enter_async_context(
            surroundings(text, orgs or {ORG: 10_000}, environ, None, None)
        )
        behind = BehindEnvoy(place, platform, product, flags)
        owned.push_async_callback(behind.client.aclose)
        await behind.start_authz()
        owned.push_async_callback(behind.close_authz)
        config = configuration(door)
        for old, new in (replaced or {}).items():
            assert old in config, old
            config = config.replace(old, new)
        if inserted:
            config = config.replace(_CHECKED, f"{inserted}{_CHECKED}")
        if duplicated:
            asking = config[config.index(f"{_FILTER}{door}\n") : config.index(_ROUTER)]
            config = config.replace(_ROUTER, f"{asking}{_ROUTER}")
        config = with_ports(
            config,
            {
                8080: behind.port,
                8094: behind.grpc_port,
                3000: product_port or int(product.url.rpartition(":")[2]),
            },
        )
        (folder / "envoy.yaml").write_text(config)
        behind.envoy = await start(
            str(Path(sys.executable).with_name("envoy")), "-c", str(folder / "envoy.yaml"),
            *("--log-level", "error", "--file-flush-interval-msec", "50"),
            *("--use-dynamic-base-id", "--concurrency", "1"),
            environ={"HOME": str(folder)},
        )  # fmt: skip
        owned.push_async_callback(stopped, behind.envoy)
        await answering(behind.envoy, f"http://127.0.0.1:{behind.port}/api/v1/chat", ready)
        yield behind


async def fault(platform: LocalPlatform, **faults: object) -> None:
    """Replace the platform's faults."""
    async with httpx.AsyncClient(base_url=platform.url) as client:
        (await client.put("/_control/faults", json=faults)).raise_for_status()
