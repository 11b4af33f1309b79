"""A running sidecar whose ConfigMap and Secret change under it, as the kubelet changes them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.harness import CHAT, KEY, ORG, eventually, policy, scrape
from tests.e2e.programs import ProcessStack, process_stack
from tests.kubernetes.kubelet import Volume

_BLOCKED = policy(routes=[{"name": "closed", "match": {"path": CHAT}, "action": "deny"}])


class Mounted:
    """A sidecar that reads policy and key from volumes."""

    def __init__(
        self, stack: ProcessStack, url: str, admin: str, config: Volume, keys: Volume
    ) -> None:
        self.stack = stack
        self.admin = admin
        self.config = config
        self.keys = keys
        self.client = httpx.AsyncClient(base_url=url, timeout=20)

    async def call(self) -> httpx.Response:
        """Make one metered call."""
        return await self.client.post(CHAT, headers=self.stack.cookie(), json={"message": "hello"})

    async def count(self, name: str, **labels: str) -> float:
        """Read one counter."""
        return (await scrape(self.admin)).sum(name, **labels)


@contextlib.asynccontextmanager
async def _mounted(folder: Path, key: str = KEY, **flags: Any) -> AsyncIterator[Mounted]:
    config = Volume(folder / "policy", {"policy.yaml": policy()})
    keys = Volume(folder / "keys", {"PLATFORM_INTERNAL_KEY": key})
    async with process_stack(orgs={ORG: 10_000}) as stack:
        program = await stack.restart(
            policy=config.folder / "policy.yaml",
            key_file=keys.folder / "PLATFORM_INTERNAL_KEY",
            issuer=stack.platform.url,
            **flags,
        )
        mounted = Mounted(stack, program.url, program.admin_url, config, keys)
        try:
            yield mounted
        finally:
            await mounted.client.aclose()
            await program.close()


async def test_a_changed_config_map_rules_without_a_restart(tmp_path: Path) -> None:
    """Calls go on while the links are swapped, and the new policy decides the next ones."""
    async with _mounted(tmp_path) as mounted:
        statuses: list[int] = []

        async def call_on() -> None:
            while not statuses or statuses[-1] == 200:
                statuses.append((await mounted.call()).status_code)

        calling = asyncio.ensure_future(call_on())
        mounted.config.write({"policy.yaml": _BLOCKED})
        await asyncio.wait_for(calling, 20)
        assert set(statuses[:-1]) == {200}
        assert statuses[-1] == 403


async def test_a_broken_config_map_changes_nothing_and_is_told(tmp_path: Path) -> None:
    """The last good policy rules; the metric and readiness say what is wrong."""
    async with _mounted(tmp_path) as mounted:
        mounted.config.write({"policy.yaml": "version: 1\nroutes: nonsense\n"})
        await eventually(
            lambda: mounted.count("policy_reload_total", outcome="rejected"), lambda seen: seen == 1
        )
        assert (await mounted.call()).status_code == 200
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"{mounted.admin}/ready")
        assert ready.status_code == 200
        assert "policy.yaml" in ready.text


async def test_many_changes_at_once_end_with_the_last(tmp_path: Path) -> None:
    """However often the links are swapped, what is there at the end is in force."""
    async with _mounted(tmp_path) as mounted:
        for turn in range(50):
            mounted.config.write({"policy.yaml": policy(unmatched="deny" if turn % 2 else "allow")})
        mounted.config.write({"policy.yaml": _BLOCKED})

        async def status() -> int:
            return (await mounted.call()).status_code

        await eventually(status, lambda seen: seen == 403)


async def test_a_rotated_key_is_used_without_a_restart(tmp_path: Path) -> None:
    """A wrong key is refused by the platform; the right one in the Secret fixes it."""
    async with _mounted(tmp_path, key="bbas_of_yesterday") as mounted:
        assert (await mounted.call()).headers["x-quota-decision"] == "fail_open"
        mounted.keys.write({"PLATFORM_INTERNAL_KEY": KEY})

        async def mark() -> str | None:
            found: str | None = (await mounted.call()).headers.get("x-quota-decision")
            return found

        await eventually(mark, lambda seen: seen is None)
