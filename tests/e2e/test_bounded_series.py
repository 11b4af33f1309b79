"""Ten thousand random paths and orgs: the metrics stay as few as the policy's routes (45)."""

from __future__ import annotations

import asyncio
import random

from tests.e2e.harness import ORG, Page, Stack, policy, stack
from tests.e2e.raw_client import RawClient

CALLS = 10_000
ORGS = 300
CONNECTIONS = 16
LISTED = 20


def requests(s: Stack) -> list[bytes]:
    """Write calls of many orgs to paths that nobody ever called, metered and not."""
    chance = random.Random(45)  # noqa: S311 - any paths will do, the same each time
    tokens = [s.token(ORG, claims={"org_id": f"org_{n}"}) for n in range(ORGS)]
    written = []
    for number in range(CALLS):
        path = f"{chance.choice(['/api/v1', '', '/x'])}/{chance.randbytes(6).hex()}"
        method = chance.choice(["GET", "DELETE", "PROPFIND", f"M{number % 50}"])
        token = tokens[number % ORGS]
        written.append(
            (
                f"{method} {path} HTTP/1.1\r\nhost: {chance.randbytes(3).hex()}.example\r\n"
                f"cookie: bb_at={token}\r\nx-request-id: {chance.randbytes(8).hex()}\r\n"
                f"x-route: {number}\r\n\r\n"
            ).encode()
        )
    return written


async def test_series_are_bounded() -> None:
    """No label comes from a client, but for the most recent orgs, which are counted."""
    async with stack(
        policy=policy(defaults={"accuracy": "lease"}),
        orgs={ORG: -1, **{f"org_{n}": 1000 for n in range(ORGS)}},
        metrics_orgs=LISTED,
    ) as s:
        left = iter(requests(s))
        before = len((await s.metrics()).samples)

        async def work() -> None:
            async with RawClient(s.url) as client:
                for request in left:
                    await client.send(request)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(work())
        page: Page = await s.metrics()
        routes = {sample.labels["route"] for sample in page.samples if "route" in sample.labels}
        assert routes <= {"ai", "v1", "unmatched", "none"}
        assert page.sum("requests_total") == CALLS
        orgs = {sample.labels["org"] for sample in page.samples if "org" in sample.labels}
        assert len(orgs) == LISTED
        assert len(page.samples) - before < 3 * LISTED + 300
