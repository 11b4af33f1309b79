"""The books of the main job: what the product executed, and what the platform counted, per org."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.e2e.counting_upstream import CountingUpstream
from tests.e2e.harness import (
    CHAT,
    KEY,
    SESSION_SECRET,
    Orgs,
    Page,
    Place,
    eventually,
    policy,
    scrape,
    seed,
)
from tests.e2e.programs import SidecarProgram, running, start_sidecar
from tests.e2e.raw_client import RawClient, post

REQUESTS = 10_000
CONNECTIONS = 64
FAULT_SECONDS = 1.0
TIGHT = 75
LIMITS = {
    **{f"org_ample_{n:02}": 1_000_000 for n in range(20)},
    **{f"org_free_{n:02}": -1 for n in range(10)},
    **{f"org_tight_{n:02}": TIGHT for n in range(20)},
}
POLICY = policy(
    defaults={
        "platform_timeout": "1s",
        "on_platform_error": "fail_open",
        "fail_open_budget": {"units": 100_000, "seconds": 900},
    }
)
FAILURES: list[dict[str, Any]] = [{"status": 500}, {"drop_after_commit": True}, {"hang": True}]
"""What the platform does in its bad second, one after the other."""


@dataclass
class Seen:
    """What the callers saw, by org."""

    allowed: Counter[str] = field(default_factory=Counter)
    failed_open: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    granted_late: int = 0


@dataclass
class Chain:
    """A platform and a sidecar as processes, and the product here."""

    platform: httpx.AsyncClient
    upstream: CountingUpstream
    sidecar: SidecarProgram

    async def fault(self, **faults: Any) -> None:
        """Replace the platform's faults."""
        (await self.platform.put("/_control/faults", json=faults)).raise_for_status()

    async def tokens(self, orgs: Orgs) -> dict[str, str]:
        """Mint a token for each org."""
        found = {}
        for org in orgs:
            answer = await self.platform.post("/_control/token", json={"org_id": org})
            found[org] = answer.json()["token"]
        return found

    async def charges(self) -> Counter[str]:
        """Return the units that the platform has counted, by org."""
        counted: Counter[str] = Counter()
        for each in (await self.platform.get("/_control/consumes")).json():
            counted[each["org_id"]] += each["amount"]
        return counted


@contextlib.asynccontextmanager
async def chain(folder: Path, orgs: Orgs, **flags: Any) -> AsyncIterator[Chain]:
    """Run the chain with the platform and the sidecar as processes of their own."""
    seed_file, policy_file = folder / "seed.yaml", folder / "policy.yaml"
    seed_file.write_text(yaml.safe_dump(json.loads(seed(orgs).model_dump_json(exclude_none=True))))
    policy_file.write_text(POLICY)
    async with contextlib.AsyncExitStack() as owned:
        upstream = await owned.enter_async_context(CountingUpstream(delay=0.01))
        words = ("platform", "--listen", "127.0.0.1:0", "--seed", str(seed_file))
        program = await owned.enter_async_context(running(*words))
        url = (await program.line(lambda line: line.startswith("local platform"))).split()[2]
        platform = await owned.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
        secrets = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
        place = Place(policy_file, upstream.url, url, url, secrets)
        sidecar = await start_sidecar(place.flags(**flags), place.environ)
        owned.push_async_callback(sidecar.close)
        yield Chain(platform, upstream, sidecar)


async def work(chain: Chain, requests: dict[str, bytes], seen: Seen, until: int) -> None:
    """Send requests for one org after another over one connection, until so many were sent."""
    orgs = list(requests)
    async with RawClient(chain.sidecar.url) as client:
        while seen.sent < until:
            org = orgs[seen.sent % len(orgs)]
            seen.sent += 1
            answer = await client.send(requests[org])
            if answer.status == 200:
                seen.allowed[org] += 1
                seen.failed_open[org] += answer.mark == "fail_open"
                seen.granted_late += until == REQUESTS and not answer.mark
            else:
                assert answer.status == 429, answer
                seen.refused[org] += 1


async def load(chain: Chain, requests: dict[str, bytes], seen: Seen, until: int) -> None:
    """Send up to `until` requests in all, over all connections."""
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work(chain, requests, seen, until))


async def fail_for_a_second(chain: Chain) -> None:
    """Let the platform fail in each of its ways, one after the other."""
    for failure in FAILURES:
        await chain.fault(**failure)
        await asyncio.sleep(FAULT_SECONDS / len(FAILURES))
    await chain.fault()


async def test_executions_are_charges_to_the_unit(tmp_path: Path) -> None:
    """10,000 requests, 64 connections, 50 orgs, a bad second in the middle: the books agree.

    Executions are the charges and what fail-open let through; of that, once it was reported, only
    what is beyond an org's limit stays uncounted.
    """
    async with chain(tmp_path, LIMITS, journal=tmp_path / "journal") as c:
        tokens = await c.tokens(LIMITS)
        requests = {org: post(CHAT, token) for org, token in tokens.items()}
        seen = Seen()
        await load(c, requests, seen, REQUESTS * 2 // 5)
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_for_a_second(c))
            group.create_task(load(c, requests, seen, REQUESTS * 3 // 5))
        # The rest waits until the platform is asked again: the load is to see it recovered.
        await asyncio.sleep(1.0)
        await load(c, requests, seen, REQUESTS)

        async def metrics() -> Page:
            return await scrape(c.sidecar.admin_url)

        page = await eventually(metrics, lambda page: not page.sum("journal_pending_units"))
        charges = await c.charges()

        assert seen.sent == REQUESTS
        assert seen.allowed == c.upstream.executions
        assert sum(seen.failed_open.values()) > 100
        assert sum(seen.refused.values()) > 100
        assert seen.granted_late > 100
        for org, limit in LIMITS.items():
            executed = c.upstream.executions[org]
            assert charges[org] == (executed if limit < 0 else min(executed, limit)), org
            assert executed - charges[org] <= seen.failed_open[org]
        total, charged = c.upstream.executions.total(), charges.total()
        assert page.sum("units_total") == total
        assert page.sum("journal_replayed_units_total", outcome="refused") == total - charged
        assert page.sum("journal_dropped_units_total") == 0
        assert page.sum("credits_units") == 0
