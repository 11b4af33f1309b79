"""What runs during a soak: platform and sidecar as processes, the product and three wires here."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Final

import httpx
import yaml

from sidecar.admission.journal_file import JournalFile
from tests.e2e.harness import KEY, SESSION_SECRET, Page, Place, policy, scrape, seed
from tests.e2e.programs import SidecarProgram, running, start_sidecar
from tests.fakes.obedient_product import ObedientProduct
from tests.soak.books import Slot
from tests.soak.tap import Tap
from tests.soak.traffic import CLOSED, LEASED, UPLOAD
from tests.wire.fault_proxy import FaultProxy

FREE: Final = "org_free"
AMPLE: Final = 1_000_000_000
ORGS: Final = {
    **{f"org_ample_{n}": {"ai_calls": AMPLE, "api_calls": AMPLE} for n in range(4)},
    **{f"org_tight_{n}": {"ai_calls": 60 * 4**n, "api_calls": 40 * 4**n} for n in range(4)},
    FREE: {"ai_calls": -1, "api_calls": -1},
}
LIMITS: Final[dict[Slot, int]] = {
    (org, resource): limit
    for org, limits in ORGS.items()
    for resource, limit in {**limits, "storage_bytes": AMPLE if org != FREE else -1}.items()
}
POLICY: Final = policy(
    defaults={
        "platform_timeout": "250ms",
        "on_platform_error": "fail_open",
        "fail_open_budget": {"units": 1_000_000_000, "seconds": 86_400},
    },
    routes=[
        {
            "name": "upload",
            "match": {"path": UPLOAD, "methods": ["PUT"]},
            "meter": {"resource": "storage_bytes", "amount": {"header": "content-length"}},
        },
        {
            "name": "closed",
            "match": {"path": CLOSED},
            "meter": {"on_platform_error": "fail_closed"},
        },
        {
            "name": "leased",
            "match": {"path": LEASED},
            "meter": {"resource": "api_calls", "accuracy": "lease"},
        },
    ],
)


@dataclass
class Chain:
    """All that runs."""

    platform: httpx.AsyncClient
    product: ObedientProduct
    tap: Tap
    wires: dict[str, FaultProxy]
    sidecar: SidecarProgram
    place: Place
    journal: Path

    async def tokens(self) -> dict[str, str]:
        """Mint a token that outlives the soak, for each org."""
        found = {}
        for org in ORGS:
            wanted = {"org_id": org, "ttl": 7 * 86_400}
            answer = await self.platform.post("/_control/token", json=wanted)
            found[org] = answer.raise_for_status().json()["token"]
        return found

    async def reload(self) -> None:
        """Have the policy read again; a bad one is rejected, which is as it should be."""
        async with httpx.AsyncClient() as client:
            await client.post(f"{self.sidecar.admin_url}/reload")

    async def told(self, seconds: float = 5.0) -> bool:
        """Wait until the platform has been told of everything; False when that does not come."""
        await asyncio.sleep(1.0)  # what callers sent who have left may still be on its way
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (await scrape(self.sidecar.admin_url)).sum("journal_pending_units"):
            if loop.time() > end:
                return False
            await asyncio.sleep(0.1)
        return True

    async def rest(self, seconds: float = 60.0) -> Page:
        """Wait until nothing is in flight and nothing owed; return what the metrics say then.

        Raises AssertionError, which says what is left, when that does not come.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        names = ("inflight_requests", "open_connections", "journal_pending_units")
        while True:
            page = await scrape(self.sidecar.admin_url)
            left = {name: page.sum(name) for name in names if page.sum(name)}
            asked = page.sum("lease_units", state="requested")
            if not left and not asked:
                return page
            assert loop.time() < end, f"after {seconds} s of rest there are still {left}"
            self.product.release()
            await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """Stop the sidecar as Kubernetes does; return its exit status."""
        self.sidecar.send(SIGTERM)
        return await self.sidecar.ended(30.0)

    async def charged(self) -> Counter[Slot]:
        """Return what the platform counted, and see that no key was counted twice."""
        found: Counter[Slot] = Counter()
        keys: set[str] = set()
        for each in (await self.platform.get("/_control/consumes")).json():
            found[each["org_id"], each["resource"]] += each["amount"]
            assert each["key"] not in keys, f"{each['key']} was counted twice"
            keys.add(each["key"])
        return found

    def in_hand(self) -> Counter[Slot]:
        """Return what the stopped sidecar has left in its journal: credits, and no debts."""
        found: Counter[Slot] = Counter()
        with JournalFile(self.journal) as journal:
            assert not list(journal.entries()), "the journal still owes, after a rest"
            assert not journal.damaged_bytes
            for kept in journal.kept:
                found[kept.org_id, kept.resource] += kept.units
        return found


@contextlib.asynccontextmanager
async def chain(folder: Path) -> AsyncIterator[Chain]:
    """Run it all in `folder`."""
    seed_file, policy_file = folder / "seed.yaml", folder / "policy.yaml"
    orgs = {org: {**limits, "storage_bytes": AMPLE} for org, limits in ORGS.items()}
    orgs[FREE]["storage_bytes"] = -1
    seed_file.write_text(yaml.safe_dump(json.loads(seed(orgs).model_dump_json(exclude_none=True))))
    policy_file.write_text(POLICY)
    async with contextlib.AsyncExitStack() as owned:
        words = ("platform", "--listen", "127.0.0.1:0", "--seed", str(seed_file))
        program = await owned.enter_async_context(running(*words))
        url = (await program.line(lambda line: line.startswith("local platform"))).split()[2]
        platform = await owned.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))
        product = await owned.enter_async_context(ObedientProduct(keep=False))
        tap = Tap()
        wires = {
            "client": FaultProxy(keep=False),
            "upstream": FaultProxy(product.port, keep=False),
            "platform": FaultProxy(int(url.rpartition(":")[2]), keep=False),
        }
        wires["upstream"].ended = tap.ended
        for wire in wires.values():
            await owned.enter_async_context(wire)
        secrets = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
        place = Place(policy_file, wires["upstream"].url, wires["platform"].url, url, secrets)
        journal = folder / "journal"
        flags = place.flags(
            auth_url=url,
            journal=journal,
            head_timeout="3s",
            idle_timeout="5s",
            connect_timeout="500ms",
            first_byte_timeout="3s",
            body_idle_timeout="3s",
            upstream_connections=1000,
            drain_seconds=5,
        )
        sidecar = await start_sidecar(flags, place.environ)
        owned.push_async_callback(sidecar.close)
        wires["client"].target = int(sidecar.url.rpartition(":")[2])
        yield Chain(platform, product, tap, wires, sidecar, place, journal)
