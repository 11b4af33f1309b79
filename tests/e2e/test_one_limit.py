"""Eight sidecars and one limit (conformance 38): never a unit too many."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.e2e.harness import CHAT, ORG, Stack, policy, stack
from tests.e2e.raw_client import RawClient, post

REPLICAS = 8
LIMIT = 1000
CALLS = 5000
CONNECTIONS = 32


async def spend(s: Stack) -> Counter[int]:
    """Send all the calls over all replicas; return the statuses."""
    request = post(CHAT, s.token())
    left = iter(range(CALLS))
    statuses: Counter[int] = Counter()

    async def work(url: str) -> None:
        async with RawClient(url) as client:
            for _ in left:
                statuses[(await client.send(request)).status] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(work(s.sidecars[number % REPLICAS].url))
    return statuses


async def test_exact_is_exact() -> None:
    """Of 5,000 calls exactly 1,000 pass."""
    async with stack(orgs={ORG: LIMIT}, replicas=REPLICAS) as s:
        assert await spend(s) == {200: LIMIT, 429: CALLS - LIMIT}
        assert (s.charges(), s.executions()) == (LIMIT, LIMIT)


async def test_leases_never_exceed() -> None:
    """With leases no more than 1,000 pass, and what a replica holds at its end is not lost."""
    async with stack(
        policy=policy(defaults={"accuracy": "lease"}), orgs={ORG: LIMIT}, replicas=REPLICAS
    ) as s:
        statuses = await spend(s)
        assert statuses.keys() <= {200, 429}
        assert s.charges() <= LIMIT
        held = sum(
            [(await s.metrics_of(each)).sum("lease_units", state="held") for each in s.sidecars]
        )
        assert s.executions() == statuses[200] == s.charges() - held
        assert s.executions() > LIMIT / 2
