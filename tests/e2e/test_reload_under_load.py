"""A thousand reloads under load, half of them bad (conformance 44)."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.e2e.harness import CHAT, ORG, Stack, policy, stack
from tests.e2e.raw_client import RawClient, post

RELOADS = 1000
BAD = ("version: 1\nroutes: [", "version: 9\n", "", "nonsense: true\n")


def good(number: int) -> str:
    """Write a policy of its own number, whose routes do the same as every other's."""
    return policy(routes=[{"name": f"r{number}", "match": {"path": f"/r/{number}"}, "meter": {}}])


async def call_all_the_time(s: Stack, statuses: Counter[int], stop: asyncio.Event) -> None:
    """Call a metered route until told to stop, with room for the reloads in between."""
    request = post(CHAT, s.token())
    async with RawClient(s.url) as client:
        while not stop.is_set():
            statuses[(await client.send(request)).status] += 1
            await asyncio.sleep(0.002)


async def test_no_request_fails_and_the_last_good_policy_rules() -> None:
    """Every call under way is served, whatever the file holds; the last good one is in force."""
    async with stack(orgs={ORG: -1}) as s:
        statuses: Counter[int] = Counter()
        stop = asyncio.Event()
        callers = [asyncio.create_task(call_all_the_time(s, statuses, stop)) for _ in range(2)]
        async with RawClient(s.admin) as admin:
            reload = b"POST /reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
            for number in range(RELOADS):
                bad = number % 2
                text = BAD[number % len(BAD)] if bad else good(number)
                s.place.policy_file.write_text(text)
                answer = await admin.send(reload)
                assert answer.status == (422 if bad else 200), answer
        stop.set()
        await asyncio.gather(*callers)
        assert statuses.keys() == {200}
        assert statuses.total() > RELOADS / 5
        assert (s.charges(), s.executions()) == (statuses[200], statuses[200])
        page = await s.metrics()
        outcomes = page.by("policy_reload_total", "outcome")
        assert outcomes["rejected"] >= RELOADS / 2
        assert outcomes["loaded"] >= RELOADS / 2 - 1
        in_force = (await s.client.get(f"{s.admin}/policy")).json()
        assert f"r{RELOADS - 2}" in {route["name"] for route in in_force["routes"]}
        assert page.sum("policy_info") == 1
