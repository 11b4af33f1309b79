"""What holds our own loop is never the platform's failure, and opens nothing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests.e2e.harness import CHAT, ORG, policy, stack
from tests.e2e.programs import process_stack
from tests.e2e.raw_client import RawClient, post

CALLERS = 80
LIMIT = 3
PRICED = policy(
    defaults={"platform_timeout": "5s"},  # read at once, the bodies would hold the loop for 16 s
    routes=[
        {
            "name": "priced",
            "match": {"path": CHAT},
            "meter": {"amount": {"json": "/n", "default": 1, "max": 16}},
        }
    ],
)
SLOW_TO_READ = b'{"x":[' + b",".join([b"{}"] * 340_000) + b'],"y":"n","n":1}'


@pytest.mark.parametrize("accuracy", ["exact", "lease"])
async def test_a_loop_that_is_held_fails_nothing_open(accuracy: str) -> None:
    """300 ms, more than platform_timeout: every call is paid for, the breaker stays closed."""
    quick = policy(defaults={"platform_timeout": "100ms", "accuracy": accuracy})
    async with stack(policy=quick, orgs={ORG: 100_000}) as s:
        for _ in range(3):
            calls = [asyncio.ensure_future(s.call()) for _ in range(10)]
            await asyncio.sleep(0.005)
            time.sleep(0.3)  # noqa: ASYNC251 - holds the loop of sidecar, platform and product
            answers = await asyncio.gather(*calls)
            assert {answer.status_code for answer in answers} == {200}
            assert {answer.headers.get("x-quota-decision") for answer in answers} == {None}
        page = await s.metrics()
        assert set(page.by("consume_requests_total", "outcome")) - {"granted", "refused"} == set()
        assert page.sum("platform_degraded_total") == 0
        assert page.sum("platform_breaker_state") == 0
        assert page.sum("loop_lag_seconds_sum") > 0.5
        assert s.executions() == 30


async def test_bodies_that_are_slow_to_read_make_no_call_free() -> None:
    """57 to 65 calls of an org with a limit of 3 failed open while the platform was healthy."""
    async with process_stack(policy=PRICED, orgs={ORG: LIMIT}) as s:
        request = post(CHAT, s.token(), SLOW_TO_READ)
        seen: Counter[int] = Counter()

        async def call() -> None:
            async with RawClient(s.url) as client:
                seen[(await client.send(request)).status] += 1

        await asyncio.gather(*(call() for _ in range(CALLERS)))
        page = await s.metrics()
        assert (s.executions(), s.charges()) == (LIMIT, LIMIT)
        # One org's bodies get half of the memory for bodies: more of them are 503.
        assert seen[200] == LIMIT
        assert seen.keys() <= {200, 429, 503}
        assert page.sum("platform_degraded_total") == 0
        assert set(page.by("consume_requests_total", "outcome")) == {"granted", "refused"}
